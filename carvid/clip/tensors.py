"""The tensors of a CLIP, by transformers' names: which there must be, and of what shapes."""

from __future__ import annotations

import torch

from carvid.clip.config import ClipConfig, TextConfig, VisionConfig


def tensor_shapes(config: ClipConfig) -> dict[str, torch.Size]:
    """The shapes of transformers' `CLIPModel(config).state_dict()`, in its order."""
    text, vision, shared = config.text_config, config.vision_config, config.projection_dim
    width, patches = vision.hidden_size, (vision.image_size // vision.patch_size) ** 2
    shapes: dict[str, tuple[int, ...]] = {
        "logit_scale": (),
        "text_model.embeddings.token_embedding.weight": (text.vocab_size, text.hidden_size),
        "text_model.embeddings.position_embedding.weight": (text.max_position_embeddings, text.hidden_size),
        **_blocks("text_model", text),
        **_norm("text_model.final_layer_norm", text.hidden_size),
        "vision_model.embeddings.class_embedding": (width,),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, vision.patch_size, vision.patch_size),
        "vision_model.embeddings.position_embedding.weight": (1 + patches, width),
        **_norm("vision_model.pre_layrnorm", width),
        **_blocks("vision_model", vision),
        **_norm("vision_model.post_layernorm", width),
        "visual_projection.weight": (shared, width),
        "text_projection.weight": (shared, text.hidden_size),
    }
    return {name: torch.Size(shape) for name, shape in shapes.items()}


def _blocks(tower: str, config: TextConfig | VisionConfig) -> dict[str, tuple[int, ...]]:
    width, hidden = config.hidden_size, config.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {}
    for i in range(config.num_hidden_layers):
        block = f"{tower}.encoder.layers.{i}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= _linear(f"{block}.self_attn.{part}", width, width)
        shapes |= _norm(f"{block}.layer_norm1", width)
        shapes |= _linear(f"{block}.mlp.fc1", hidden, width)
        shapes |= _linear(f"{block}.mlp.fc2", width, hidden)
        shapes |= _norm(f"{block}.layer_norm2", width)
    return shapes


def _linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
