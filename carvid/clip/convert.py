"""OpenAI's and OpenCLIP's key layout to Hugging Face's, and the configuration their shapes imply.

Both name a ViT CLIP's tensors alike: `visual.*`, `transformer.*`, `token_embedding.weight`,
`positional_embedding`, `ln_final.*`, `text_projection`, `logit_scale`. Heads are 64 wide unless a description
says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from carvid.errors import WeightsError

_HEAD_WIDTH = 64

# Facts about the model, not weights: OpenAI's archives keep them beside the tensors.
_OPENAI_FACTS = ("input_resolution", "context_length", "vocab_size")

_RENAMED = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
# A matrix that multiplies from the right becomes a linear layer's weight.
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)")


def is_openai_layout(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the names are OpenAI's or OpenCLIP's rather than Hugging Face's."""
    return any(name.startswith("visual.") for name in state)


def has_openai_facts(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the file was written by OpenAI, whose models use quick_gelu."""
    return all(name in state for name in _OPENAI_FACTS)


def convert_state_dict(state: Mapping[str, torch.Tensor], *, where: str) -> dict[str, torch.Tensor]:
    """Rename, split and transpose to Hugging Face's CLIPModel names.

    in_proj (3 W, W) is split into q, k, v (W, W) each; projections (W, D) become (D, W).
    Raises WeightsError, naming a tensor that no ViT CLIP has.
    """
    out: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        block = _BLOCK.fullmatch(name)
        if name in _OPENAI_FACTS or name.split(".")[-1] == "attn_mask":
            continue
        if name in _RENAMED:
            out[_RENAMED[name]] = tensor
        elif name in _TRANSPOSED:
            out[_TRANSPOSED[name]] = tensor.T.contiguous()
        elif block and block[3] == "attn.in_proj":
            if tensor.dim() == 0 or tensor.shape[0] % 3:
                raise WeightsError(
                    f"{where}: {name} has shape {tuple(tensor.shape)}, expected q, k and v stacked"
                )
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{_block(block)}.self_attn.{part}_proj.{block[4]}"] = piece.contiguous()
        elif block and block[3] in _IN_BLOCK:
            out[f"{_block(block)}.{_IN_BLOCK[block[3]]}.{block[4]}"] = tensor
        else:
            raise WeightsError(
                f"{where} holds {name} {tuple(tensor.shape)}, which OpenAI's and OpenCLIP's standard ViT "
                "CLIP does not have: ResNets, CustomTextCLIP, CoCa and SigLIP are other models"
            )
    return out


def infer_config(
    state: Mapping[str, torch.Tensor],
    *,
    where: str,
    hidden_act: str,
    model_cfg: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The CLIPConfig (as a dictionary) of a state dict in OpenAI's layout, from its shapes.

    hidden_act: "quick_gelu" for OpenAI's weights, "gelu" for OpenCLIP's own; no shape tells them apart.
    model_cfg: OpenCLIP's, for the numbers of heads where a head is not 64 wide.
    Raises WeightsError, naming a tensor that is missing or has an impossible shape.
    """
    model_cfg = model_cfg or {}
    conv = _tensor(state, "visual.conv1.weight", 4, where)  # (W, 3, p, p)
    patches, vision_width = _tensor(state, "visual.positional_embedding", 2, where).shape  # (1 + g^2, W)
    context, text_width = _tensor(state, "positional_embedding", 2, where).shape
    vocabulary = _tensor(state, "token_embedding.weight", 2, where).shape[0]
    _tensor(state, "text_projection", 2, where)
    embed = _tensor(state, "visual.proj", 2, where).shape[1]
    grid = round((patches - 1) ** 0.5)
    if grid * grid != patches - 1:
        raise WeightsError(
            f"{where}: visual.positional_embedding has {patches} rows, expected 1 + a square number of "
            "patches"
        )
    vision_head = _described(model_cfg, "vision_cfg", "head_width", _HEAD_WIDTH, where)
    text_heads = _described(model_cfg, "text_cfg", "heads", text_width // _HEAD_WIDTH, where)
    return {
        "projection_dim": embed,
        "vision_config": {
            **_tower(state, "visual.", vision_width, vision_width // vision_head, where),
            "hidden_act": hidden_act,
            "image_size": grid * conv.shape[-1],
            "patch_size": conv.shape[-1],
        },
        "text_config": {
            **_tower(state, "", text_width, text_heads, where),
            "hidden_act": hidden_act,
            "vocab_size": vocabulary,
            "max_position_embeddings": context,
            # The text is pooled at its highest token id, the end token.
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
        },
    }


def _tower(
    state: Mapping[str, torch.Tensor], prefix: str, width: int, heads: int, where: str
) -> dict[str, Any]:
    numbers = {
        int(match[2]) for name in state if (match := _BLOCK.fullmatch(name)) and (match[1] or "") == prefix
    }
    if heads < 1 or width % heads:
        raise WeightsError(
            f"{where}: {prefix}transformer is {width} wide: expected a multiple of its {heads} heads"
        )
    mlp = _tensor(state, f"{prefix}transformer.resblocks.0.mlp.c_fc.weight", 2, where)
    return {
        "hidden_size": width,
        "intermediate_size": mlp.shape[0],
        "num_hidden_layers": max(numbers) + 1,
        "num_attention_heads": heads,
    }


def _described(model_cfg: Mapping[str, Any], part: str, name: str, default: int, where: str) -> int:
    described = model_cfg.get(part) or {}
    value = described.get(name, default) if isinstance(described, dict) else described
    if not isinstance(value, int) or value < 1:
        raise WeightsError(f"{where}: {part}.{name} is {value!r}, expected a whole number")
    return value


def _tensor(state: Mapping[str, torch.Tensor], name: str, dims: int, where: str) -> torch.Tensor:
    if name not in state:
        raise WeightsError(f"{where} holds no {name}: expected the weights of a ViT CLIP")
    if state[name].dim() != dims:
        raise WeightsError(
            f"{where}: {name} has shape {tuple(state[name].shape)}, expected {dims} dimensions"
        )
    return state[name]


def _block(match: re.Match[str]) -> str:
    return f"{'vision' if match[1] else 'text'}_model.encoder.layers.{match[2]}"
