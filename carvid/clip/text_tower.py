"""The text tower of a CLIP, run on its loaded weights: token ids to projected features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.clip.config import TextConfig
from carvid.clip.vision import Block, Norm, blocks_of, norm_of

# In old configurations, OpenAI's own among them, this end token stands for the highest id of a text.
HIGHEST_ID = 2


@dataclass(frozen=True)
class TextTower:
    """The frozen text tower of one CLIP, D wide.

    tokens (vocabulary, D), positions (context, D): embeddings. eos_id: where a text is pooled, at its first such id;
    `HIGHEST_ID`: at its first highest id. projection (d, D): maps to the space that images share.
    """

    tokens: Tensor
    positions: Tensor
    blocks: tuple[Block, ...]
    post_norm: Norm
    eos_id: int
    projection: Tensor

    def __call__(self, ids: Tensor) -> Tensor:
        """Features (B, d), not normalised, of token ids (B, T) int64 with T no more than the context.

        What follows the id where a text is pooled changes nothing, as no token attends to later ones.
        """
        x = F.embedding(ids, self.tokens) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            q, k, v = block.project(block.norm1(x))
            x = x + block.merge(F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0))
            x = x + block.mlp(x)
        # argmax takes the first of equal ones.
        marked = ids if self.eos_id == HIGHEST_ID else (ids == self.eos_id).int()
        pooled = x[torch.arange(len(x), device=x.device), marked.argmax(1)]
        return F.linear(self.post_norm(pooled), self.projection)


def text_tower(state: Mapping[str, Tensor], config: TextConfig) -> TextTower:
    """The text tower of a CLIP's tensors, by transformers' names, on their device and in their dtype."""
    name = "text_model"
    return TextTower(
        tokens=state[f"{name}.embeddings.token_embedding.weight"],
        positions=state[f"{name}.embeddings.position_embedding.weight"],
        blocks=blocks_of(state, name, config),
        post_norm=norm_of(state, f"{name}.final_layer_norm", config.layer_norm_eps),
        eos_id=config.eos_token_id,
        projection=state["text_projection.weight"],
    )
