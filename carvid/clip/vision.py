"""The vision tower of a CLIP, run on its loaded weights: tokens, blocks, and what f and g each need of them.

Shapes: B frames or prompted images, T = 1 + n tokens (CLS first), D width, h heads, dh = D / h.
The 1/sqrt(dh) of the attention is folded into the query projection, so that S = q k^T.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.clip.config import TextConfig, VisionConfig

# On a CPU attention is made for so many queries at a time: a strip stays in cache, the whole T x T matrix would not.
STRIP_ROWS = 256
# quick_gelu(x) = x sigmoid(1.702 x) = silu(1.702 x) / 1.702
QUICK_GELU = 1.702

# CLIP-ES averages the attention of the last eight blocks for its affinity.
AFFINITY_BLOCKS = 8


@dataclass(frozen=True)
class Norm:
    """A layer norm over D."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)

    def standardise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x with mean 0 and variance 1 over D, and 1 / its standard deviation (..., 1)."""
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        inverse = (variance + self.eps).rsqrt()
        return (x - mean) * inverse, inverse


@dataclass(frozen=True)
class Block:
    """One transformer block; `query_key_value` is the three projections in one matrix (3D, D)."""

    heads: int
    norm1: Norm
    query_key_value: Tensor
    query_key_value_bias: Tensor
    out: Tensor
    out_bias: Tensor
    norm2: Norm
    fc1: Tensor
    fc1_bias: Tensor
    fc2: Tensor
    fc2_bias: Tensor
    activation: str

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, h, T, dh) of the normalised input a (B, T, D)."""
        return split_heads(F.linear(a, self.query_key_value, self.query_key_value_bias), self.heads)

    def merge(self, heads: Tensor) -> Tensor:
        """The heads' outputs (B, h, T, dh) through the output projection: (B, T, D)."""
        return F.linear(heads.transpose(1, 2).flatten(2), self.out, self.out_bias)

    def mlp(self, x: Tensor) -> Tensor:
        a = self.norm2(x)
        if self.activation != "quick_gelu":
            return F.linear(F.gelu(F.linear(a, self.fc1, self.fc1_bias)), self.fc2, self.fc2_bias)
        # The products take quick_gelu's factor along, so that one pass over the hidden layer is left.
        gain = QUICK_GELU
        hidden = torch.addmm(self.fc1_bias, a.flatten(0, -2), self.fc1.T, beta=gain, alpha=gain)
        hidden = torch.addmm(self.fc2_bias, F.silu(hidden, inplace=True), self.fc2.T, alpha=1 / gain)
        return hidden.view_as(x)

    def __call__(self, x: Tensor) -> Tensor:
        """The block with fused attention: (B, T, D) -> (B, T, D)."""
        q, k, v = self.project(self.norm1(x))
        x = x + self.merge(F.scaled_dot_product_attention(q, k, v, scale=1.0))
        return x + self.mlp(x)

    def with_attention(self, x: Tensor, attention: Tensor) -> Tensor:
        """The block, adding its attention averaged over heads, CLS left out, to `attention` (B, n, n) float32."""
        x = x + self.merge(attend(*self.project(self.norm1(x)), attention))
        return x + self.mlp(x)


def attend(q: Tensor, k: Tensor, v: Tensor, attention: Tensor) -> Tensor:
    """The heads' outputs (B, h, T, dh) of queries, keys and values of that shape.

    attention: (B, n, n) float32, to which the softmax's weights are added, averaged over heads, CLS left out.
    """
    outputs = torch.empty_like(q)
    heads = q.shape[1]
    for head, start, end, strip in attention_strips(q, k):
        if start == 0:
            values = v[:, head].contiguous()  # once, as every strip reads them
        torch.matmul(strip, values, out=outputs[:, head, start:end])
        first = max(start, 1)  # CLS is left out
        attention[:, first - 1 : end - 1].add_(strip[:, first - start :, 1:], alpha=1 / heads)
    return outputs


def attention_strips(q: Tensor, k: Tensor) -> Iterator[tuple[int, int, int, Tensor]]:
    """The softmax's weights P of queries q (B, h, Q, dh) on keys k (B, h, T, dh), strip by strip.

    Yields a head, the start and end of some of its queries, and their P (B, end - start, T), in a buffer that the next
    strip overwrites. A strip has all queries of a head, except in float32 on a CPU: half precision would round the
    sums that a caller makes over strips.
    """
    batch, heads, queries, _ = q.shape
    by_strips = q.device.type == "cpu" and q.dtype == torch.float32
    rows = min(queries, STRIP_ROWS) if by_strips else queries
    held = q.new_empty(batch, rows, k.shape[2])
    for head in range(heads):
        # Copied side by side once, as every strip reads them.
        asking, keys = q[:, head].contiguous(), k[:, head].transpose(1, 2).contiguous()
        for start in range(0, queries, rows):
            end = min(start + rows, queries)
            strip = held[:, : end - start]
            torch.matmul(asking[:, start:end], keys, out=strip)
            torch.softmax(strip, -1, out=strip)
            yield head, start, end, strip


def split_heads(joint: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, h, T, dh) of the three projections side by side (B, T, 3D)."""
    batch, tokens, width = joint.shape
    q, k, v = joint.view(batch, tokens, 3, heads, width // (3 * heads)).permute(2, 0, 3, 1, 4)
    return q, k, v


def activate(x: Tensor, name: str) -> Tensor:
    return F.silu(QUICK_GELU * x, inplace=True).div_(QUICK_GELU) if name == "quick_gelu" else F.gelu(x)


def activation_slope(x: Tensor, name: str) -> Tensor:
    """The derivative of the activation at x."""
    if name == "quick_gelu":
        x = QUICK_GELU * x
        gate = torch.sigmoid(x)
        value = x.mul_(gate)
        return (gate + value).addcmul_(value, gate, value=-1)  # g (1 + x (1 - g))
    density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * density


@dataclass(frozen=True)
class VisionTower:
    """The frozen vision tower of one CLIP.

    `projection` (d, D) maps to the space that texts share. Both sides of an image must be multiples of
    `patch_size_px`; position embeddings are interpolated bilinearly to its grid and then, with `float16_positions`,
    rounded to float16.
    """

    patch_size_px: int
    patch_weight: Tensor
    class_embedding: Tensor
    class_position: Tensor
    grid_positions: Tensor
    pre_norm: Norm
    blocks: tuple[Block, ...]
    post_norm: Norm
    projection: Tensor
    float16_positions: bool = False

    def tokens(self, planes: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> (B, 1 + n, D), ready for the first block."""
        size = self.patch_size_px
        batch, _, height, width = planes.shape
        rows, columns = height // size, width // size
        patches = planes.view(batch, 3, rows, size, columns, size).permute(0, 2, 4, 1, 3, 5)
        patches = patches.reshape(batch, rows * columns, -1) @ self.patch_weight
        patches = patches + self._positions(rows, columns)
        cls = (self.class_embedding + self._rounded(self.class_position)).expand(batch, 1, -1)
        return self.pre_norm(torch.cat([cls, patches], dim=1))

    def _positions(self, rows: int, columns: int) -> Tensor:
        table = self.grid_positions  # (D, side, side)
        if table.shape[1:] != (rows, columns):
            size = (rows, columns)
            table = F.interpolate(table[None].float(), size, mode="bilinear", align_corners=False)[0].to(
                table
            )
        return self._rounded(table).flatten(1).T

    def _rounded(self, positions: Tensor) -> Tensor:
        return positions.half().to(positions) if self.float16_positions else positions

    def trunk(self, planes: Tensor, *, affinity: bool = True) -> tuple[Tensor, Tensor | None]:
        """Blocks 1..L-1: their output (B, T, D), and the summed head-averaged attention of those among the
        last `AFFINITY_BLOCKS` (B, n, n) float32, to which the last block's is still to be added; None without affinity.
        """
        x = self.tokens(planes)
        n = x.shape[1] - 1
        attention = x.new_zeros(len(x), n, n, dtype=torch.float32) if affinity else None
        first = len(self.blocks) - min(AFFINITY_BLOCKS, len(self.blocks))
        for i, block in enumerate(self.blocks[:-1]):
            x = block(x) if attention is None or i < first else block.with_attention(x, attention)
        return x, attention

    def embed(self, planes: Tensor, *, last_block: bool = True) -> Tensor:
        """CLS embeddings of normalised images (B, 3, H, W), of length 1: (B, d) float32.

        last_block: whether to run the last block.
        """
        x = self.tokens(planes)
        for block in self.blocks[:-1]:
            x = block(x)
        cls = x[:, :1]
        if last_block:
            # Of the last block only the CLS token's output is asked for.
            last = self.blocks[-1]
            q, k, v = last.project(last.norm1(x))
            mixed = F.scaled_dot_product_attention(q[:, :, :1], k, v, scale=1.0)
            cls = cls + last.merge(mixed)
            cls = cls + last.mlp(cls)
        return F.normalize(F.linear(self.post_norm(cls[:, 0]), self.projection).float(), dim=-1)


def norm_of(state: Mapping[str, Tensor], name: str, eps: float) -> Norm:
    """The layer norm of that name among a CLIP's tensors."""
    return Norm(state[f"{name}.weight"], state[f"{name}.bias"], eps)


def blocks_of(state: dict[str, Tensor], tower: str, config: TextConfig | VisionConfig) -> tuple[Block, ...]:
    """The blocks of a tower, `text_model` or `vision_model`, among a CLIP's tensors.

    The projections that it joins are taken out of `state`, so that their memory serves for the next block's.
    """
    return tuple(
        _block(state, f"{tower}.encoder.layers.{i}", config) for i in range(config.num_hidden_layers)
    )


def _block(state: dict[str, Tensor], name: str, config: TextConfig | VisionConfig) -> Block:
    scale = (config.hidden_size // config.num_attention_heads) ** -0.5

    def joint(kind: str) -> Tensor:
        q, k, v = (state.pop(f"{name}.self_attn.{part}_proj.{kind}") for part in "qkv")
        return torch.cat([q * scale, k, v])

    return Block(
        heads=config.num_attention_heads,
        norm1=norm_of(state, f"{name}.layer_norm1", config.layer_norm_eps),
        query_key_value=joint("weight"),
        query_key_value_bias=joint("bias"),
        out=state[f"{name}.self_attn.out_proj.weight"],
        out_bias=state[f"{name}.self_attn.out_proj.bias"],
        norm2=norm_of(state, f"{name}.layer_norm2", config.layer_norm_eps),
        fc1=state[f"{name}.mlp.fc1.weight"],
        fc1_bias=state[f"{name}.mlp.fc1.bias"],
        fc2=state[f"{name}.mlp.fc2.weight"],
        fc2_bias=state[f"{name}.mlp.fc2.bias"],
        activation=config.hidden_act,
    )


def vision_tower(state: dict[str, Tensor], config: VisionConfig) -> VisionTower:
    """The vision tower of a CLIP's tensors, by transformers' names, on their device and in their dtype.

    Changes `state` as `blocks_of` does.
    """
    name = "vision_model"
    table = state[f"{name}.embeddings.position_embedding.weight"]
    side = math.isqrt(len(table) - 1)
    return VisionTower(
        patch_size_px=config.patch_size,
        patch_weight=state[f"{name}.embeddings.patch_embedding.weight"].flatten(1).T.contiguous(),
        class_embedding=state[f"{name}.embeddings.class_embedding"],
        class_position=table[0].clone(),
        grid_positions=table[1:].T.reshape(-1, side, side).contiguous(),
        pre_norm=norm_of(state, f"{name}.pre_layrnorm", config.layer_norm_eps),
        blocks=blocks_of(state, name, config),
        post_norm=norm_of(state, f"{name}.post_layernorm", config.layer_norm_eps),
        projection=state["visual_projection.weight"],
    )
