"""segment-anything's key layout to transformers' SamModel, and the configuration its shapes imply."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from carvid.errors import WeightsError
from carvid.sam.architectures import DECODER_NORM_EPS

# No shape tells how many heads the two-way transformer has; every published SAM has 8.
_DECODER_HEADS = 8

_GAUSSIAN = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_POSITIONS = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)

_NECK = {"0": "conv1", "1": "layer_norm1", "2": "conv2", "3": "layer_norm2"}
_DOWNSCALING = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
_UPSCALING = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}

# Each rule is a whole name; \1, \2 ... are its groups.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"image_encoder\.pos_embed", "vision_encoder.pos_embed"),
        (r"image_encoder\.patch_embed\.proj\.(.+)", r"vision_encoder.patch_embed.projection.\1"),
        (r"image_encoder\.blocks\.(\d+)\.norm([12])\.(.+)", r"vision_encoder.layers.\1.layer_norm\2.\3"),
        (r"image_encoder\.blocks\.(\d+)\.(attn|mlp)\.(.+)", r"vision_encoder.layers.\1.\2.\3"),
        (r"prompt_encoder\.point_embeddings\.(\d+)\.weight", r"prompt_encoder.point_embed.\1.weight"),
        (r"(prompt_encoder\.(?:not_a_point_embed|no_mask_embed)\.weight)", r"\1"),
        (r"(mask_decoder\.(?:iou_token|mask_tokens)\.weight)", r"\1"),
        (r"mask_decoder\.transformer\.norm_final_attn\.(.+)",
         r"mask_decoder.transformer.layer_norm_final_attn.\1"),
        (r"(mask_decoder\.transformer\.layers\.\d+)\.norm([1-4])\.(.+)", r"\1.layer_norm\2.\3"),
        (r"(mask_decoder\.transformer\.(?:layers\.\d+\.|final_attn_).+)", r"\1"),
    )
)  # fmt: skip
_NUMBERED = re.compile(
    r"(image_encoder\.neck|prompt_encoder\.mask_downscaling|mask_decoder\.output_upscaling)\.(\d)\.(.+)"
)
_NUMBERED_NAMES = {
    "image_encoder.neck": ("vision_encoder.neck", _NECK),
    "prompt_encoder.mask_downscaling": ("prompt_encoder.mask_embed", _DOWNSCALING),
    "mask_decoder.output_upscaling": ("mask_decoder", _UPSCALING),
}
_HEAD = re.compile(
    r"(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.(\d+)\.(.+)"
)


def is_original_layout(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the names are segment-anything's rather than transformers'."""
    return any(name.startswith("image_encoder.") for name in state)


def convert_state_dict(state: Mapping[str, torch.Tensor], *, where: str) -> dict[str, torch.Tensor]:
    """Rename to transformers' SamModel; no tensor changes.

    Raises WeightsError, naming a tensor that no SAM has.
    """
    out: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name == _GAUSSIAN:
            out |= dict.fromkeys(_POSITIONS, tensor)
            continue
        new = _renamed(name, state)
        if new is None:
            raise WeightsError(
                f"{where} holds {name} {tuple(tensor.shape)}, which segment-anything's SAM does not have: "
                "HQ-SAM, MobileSAM and SAM 2 files are other models; name their Hugging Face folder instead"
            )
        out[new] = tensor
    return out


def infer_config(state: Mapping[str, torch.Tensor], *, where: str) -> dict[str, Any]:
    """The SamConfig (as a dictionary) of a state dict in segment-anything's layout, from its shapes.

    Raises WeightsError, naming a tensor that is missing or has an impossible shape.
    """

    def shape(name: str, dims: int) -> torch.Size:
        if name not in state:
            raise WeightsError(f"{where} holds no {name}: expected the weights of a SAM")
        if state[name].dim() != dims or 0 in state[name].shape:
            found = tuple(state[name].shape)
            raise WeightsError(f"{where}: {name} has shape {found}, expected {dims} dimensions")
        return state[name].shape

    width, _, _, patch = shape("image_encoder.patch_embed.proj.weight", 4)
    _, rows, columns, _ = shape("image_encoder.pos_embed", 4)
    if rows != columns:
        raise WeightsError(f"{where}: image_encoder.pos_embed is {rows} x {columns}, expected a square")
    blocks = _count(state, r"image_encoder\.blocks\.(\d+)\.")
    reaches = [shape(f"image_encoder.blocks.{i}.attn.rel_pos_h", 2) for i in range(blocks)]
    if not reaches or width % reaches[0][1]:
        raise WeightsError(f"{where}: image_encoder is {width} wide: expected a multiple of its heads' width")
    windows = [(reach[0] + 1) // 2 for reach in reaches]
    decoder = "mask_decoder.transformer.layers.0"
    query, hidden = shape(f"{decoder}.cross_attn_token_to_image.q_proj.weight", 2)
    return {
        "model_type": "sam",
        "vision_config": {
            "hidden_size": width,
            "num_hidden_layers": blocks,
            "num_attention_heads": width // reaches[0][1],
            "mlp_dim": shape("image_encoder.blocks.0.mlp.lin1.weight", 2)[0],
            "output_channels": shape("image_encoder.neck.0.weight", 4)[0],
            "image_size": rows * patch,
            "patch_size": patch,
            "num_pos_feats": shape(_GAUSSIAN, 2)[1],
            "global_attn_indexes": [i for i, window in enumerate(windows) if window == rows],
            "window_size": min(windows),
        },
        "prompt_encoder_config": {
            "hidden_size": hidden,
            "image_size": rows * patch,
            "patch_size": patch,
            "mask_input_channels": shape("prompt_encoder.mask_downscaling.3.weight", 4)[0],
        },
        "mask_decoder_config": {
            "hidden_size": hidden,
            "mlp_dim": shape(f"{decoder}.mlp.lin1.weight", 2)[0],
            "num_hidden_layers": _count(state, r"mask_decoder\.transformer\.layers\.(\d+)\."),
            "num_attention_heads": _DECODER_HEADS,
            "attention_downsample_rate": hidden // query,
            "num_multimask_outputs": shape("mask_decoder.mask_tokens.weight", 2)[0] - 1,
            "iou_head_depth": _depth(state, "mask_decoder.iou_prediction_head"),
            "iou_head_hidden_dim": shape("mask_decoder.iou_prediction_head.layers.0.weight", 2)[0],
            "layer_norm_eps": DECODER_NORM_EPS,
        },
    }


def _renamed(name: str, state: Mapping[str, torch.Tensor]) -> str | None:
    if numbered := _NUMBERED.fullmatch(name):
        prefix, names = _NUMBERED_NAMES[numbered[1]]
        return f"{prefix}.{names[numbered[2]]}.{numbered[3]}" if numbered[2] in names else None
    if head := _HEAD.fullmatch(name):
        layer, last = int(head[2]), _depth(state, head[1]) - 1
        place = "proj_in" if layer == 0 else "proj_out" if layer == last else f"layers.{layer - 1}"
        return f"{head[1]}.{place}.{head[3]}"
    for pattern, replacement in _RULES:
        if match := pattern.fullmatch(name):
            return match.expand(replacement)
    return None


def _depth(state: Mapping[str, torch.Tensor], head: str) -> int:
    return _count(state, re.escape(head) + r"\.layers\.(\d+)\.")


def _count(state: Mapping[str, torch.Tensor], pattern: str) -> int:
    """One more than the highest number that `pattern`'s group takes among the names; 0 without any."""
    return max((int(match[1]) + 1 for name in state if (match := re.match(pattern, name))), default=0)
