"""Small random SAMs for the tests: in transformers' folders, and in segment-anything's own layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional

IMAGE_SIZE, PATCH, WIDTH, HIDDEN = 128, 8, 16, 32

CONFIG: dict[str, Any] = {
    "vision_config": {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_dim": 32,
        "output_channels": HIDDEN,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "num_pos_feats": HIDDEN // 2,
        "global_attn_indexes": [1],
        "window_size": 3,
    },
    "prompt_encoder_config": {
        "hidden_size": HIDDEN,
        "image_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "mask_input_channels": 8,
    },
    "mask_decoder_config": {
        "hidden_size": HIDDEN,
        "mlp_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "iou_head_hidden_dim": 24,
        "layer_norm_eps": 1e-5,
    },
}


def random_weights(shapes: dict[str, torch.Size], *, seed: int = 9) -> dict[str, torch.Tensor]:
    """Seeded float32 weights by name, nothing zero; predicted IoUs around 0.9, masks that are a few blobs.

    The blobs come from position tables and upscaling kernels that are smooth, and from an upscaled image that
    every mask token weighs with a negative bias.
    """
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if "norm" in name or ".neck.1." in name or ".neck.3." in name:
            state[name] = 0.2 * values + (1.0 if name.endswith("weight") else 0.0)
        elif "iou_prediction_head.proj_out" in name:
            state[name] = 0.02 * values + (0.9 if name.endswith("bias") else 0.0)
        elif name.endswith("upscale_conv2.bias"):
            state[name] = 1.0 + 0.1 * values
        elif "hypernetworks" in name and name.endswith("proj_out.bias"):
            state[name] = 0.1 * values - 1.0
        elif "upscale_conv" in name and name.endswith("weight"):
            state[name] = (values[..., :1, :1] + 0.1 * values) * 3.0 / shape[0] ** 0.5
        elif re.search(r"hypernetworks.*proj_in\.weight", name):
            state[name] = values * 4.5 / shape[1] ** 0.5
        elif re.search(r"[qk]_proj\.weight", name):
            # Sharper attention would turn rounding errors into other masks.
            state[name] = values * 2.0 / shape[1] ** 0.5
        elif name.endswith("bias"):
            state[name] = 0.1 * values
        elif name.endswith("vision_encoder.pos_embed"):
            state[name] = 1.5 * _smooth(shape, generator)
        elif name.endswith("positional_embedding"):
            state[name] = 0.4 * values
        elif len(shape) < 2:
            state[name] = values
        else:
            state[name] = values * 1.5 / max(1, shape[1:].numel()) ** 0.5
    twin, shared = "prompt_encoder.shared_embedding.positional_embedding", "shared_image_embedding"
    if twin in state:
        state[twin] = state[f"{shared}.positional_embedding"]
    return state


def _smooth(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """(1, rows, columns, width): 4 x 4 random values each, drawn out to rows x columns."""
    coarse = torch.randn((1, shape[3], 4, 4), generator=generator)
    return functional.interpolate(coarse, shape[1:3], mode="bicubic").permute(0, 2, 3, 1).contiguous()


def write_folder(model_class: Any, config: Any, folder: Path, *, seed: int = 9) -> Path:
    """Write config.json and random weights (safetensors) of a transformers model to `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in model_class(config).state_dict().items()}
    state = {name: tensor.clone() for name, tensor in random_weights(shapes, seed=seed).items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    return folder


def make_tiny_sam(folder: Path, *, seed: int = 9) -> Path:
    """A SAM folder in Hugging Face's format."""
    from transformers import SamConfig, SamModel

    return write_folder(SamModel, SamConfig(**CONFIG), folder, seed=seed)


def make_tiny_hq_sam(folder: Path, *, seed: int = 9) -> Path:
    """An HQ-SAM folder in Hugging Face's format."""
    from transformers import SamHQConfig, SamHQModel

    decoder = {**CONFIG["mask_decoder_config"], "vit_dim": WIDTH}
    config = SamHQConfig(**{**CONFIG, "mask_decoder_config": decoder})
    return write_folder(SamHQModel, config, folder, seed=seed)


def make_tiny_sam2(folder: Path, *, seed: int = 9, video: bool = True) -> Path:
    """A SAM 2 folder in Hugging Face's format: the video model, as published, or the image model alone."""
    from transformers import Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel

    side = IMAGE_SIZE // 4
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "image_size": [IMAGE_SIZE, IMAGE_SIZE],
        "window_positional_embedding_background_size": [2, 2],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "window_size_per_stage": [8, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    parts: dict[str, Any] = {
        "vision_config": {
            "backbone_config": backbone,
            "backbone_channel_list": [128, 64, 32, 16],
            "backbone_feature_sizes": [[side, side], [side // 2, side // 2], [side // 4, side // 4]],
            "fpn_hidden_size": HIDDEN,
        },
        "prompt_encoder_config": {"hidden_size": HIDDEN, "image_size": IMAGE_SIZE, "patch_size": 16},
        "mask_decoder_config": {"hidden_size": HIDDEN, "mlp_dim": 48, "iou_head_hidden_dim": 24},
    }
    if not video:
        return write_folder(Sam2Model, Sam2Config(**parts), folder, seed=seed)
    config = Sam2VideoConfig(
        **parts,
        image_size=IMAGE_SIZE,
        memory_attention_hidden_size=HIDDEN,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=HIDDEN,
        memory_encoder_hidden_size=HIDDEN,
        memory_encoder_output_channels=8,
        memory_fuser_embed_dim=HIDDEN,
        memory_fuser_intermediate_dim=HIDDEN,
        memory_attention_rope_feat_sizes=[4, 4],
        mask_downsampler_embed_dim=HIDDEN,
    )
    return write_folder(Sam2VideoModel, config, folder, seed=seed)


def original_state_dict(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A tiny SAM's tensors under segment-anything's names: the inverse of the conversion, as a table."""
    pieces = (
        ("prompt_encoder.shared_embedding.positional_embedding", None),
        ("shared_image_embedding.positional_embedding",
         "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
        ("vision_encoder.patch_embed.projection.", "image_encoder.patch_embed.proj."),
        ("vision_encoder.neck.conv1.", "image_encoder.neck.0."),
        ("vision_encoder.neck.layer_norm1.", "image_encoder.neck.1."),
        ("vision_encoder.neck.conv2.", "image_encoder.neck.2."),
        ("vision_encoder.neck.layer_norm2.", "image_encoder.neck.3."),
        ("vision_encoder.layers.", "image_encoder.blocks."),
        ("vision_encoder.", "image_encoder."),
        ("prompt_encoder.point_embed.", "prompt_encoder.point_embeddings."),
        ("prompt_encoder.mask_embed.conv1.", "prompt_encoder.mask_downscaling.0."),
        ("prompt_encoder.mask_embed.layer_norm1.", "prompt_encoder.mask_downscaling.1."),
        ("prompt_encoder.mask_embed.conv2.", "prompt_encoder.mask_downscaling.3."),
        ("prompt_encoder.mask_embed.layer_norm2.", "prompt_encoder.mask_downscaling.4."),
        ("prompt_encoder.mask_embed.conv3.", "prompt_encoder.mask_downscaling.6."),
        ("mask_decoder.upscale_conv1.", "mask_decoder.output_upscaling.0."),
        ("mask_decoder.upscale_layer_norm.", "mask_decoder.output_upscaling.1."),
        ("mask_decoder.upscale_conv2.", "mask_decoder.output_upscaling.3."),
    )  # fmt: skip
    out = {}
    for name, tensor in state.items():
        new: str | None = name
        for start, original in pieces:
            if name.startswith(start):
                new = None if original is None else original + name.removeprefix(start)
                break
        if new is None:
            continue
        head = "mlps" in new or "iou_prediction_head" in new
        if head:
            for place, number in (
                ("layers.0", "layers.1"),
                ("proj_in", "layers.0"),
                ("proj_out", "layers.2"),
            ):
                if f".{place}." in new:
                    new = new.replace(f".{place}.", f".{number}.")
                    break
        else:
            new = new.replace("layer_norm_final_attn", "norm_final_attn").replace(".layer_norm", ".norm")
        out[new] = tensor
    return out
