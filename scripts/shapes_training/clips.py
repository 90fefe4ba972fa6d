"""The two small CLIPs: making them, running them differentiably, and saving them in Hugging Face's format."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from carvid.clip.preprocess import CLIP_MEAN, CLIP_STD
from carvid.shapes.scenes import COLOURS, SHAPES
from shapes_training.sampling import PATCH, SQUASHED

WIDTH = 128
VISION = {
    "image_size": SQUASHED,
    "patch_size": PATCH,
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "num_hidden_layers": 5,
}


class Words(nn.Module):
    """Predicts colour and shape, separately, from a token."""

    def __init__(self) -> None:
        super().__init__()
        self.colour, self.shape = nn.Linear(WIDTH, len(COLOURS)), nn.Linear(WIDTH, len(SHAPES))


class Heads(nn.Module):
    """Temporary heads: they help the training and are not saved.

    names: maps a patch token into the texts' space. inside: predicts whether a patch is prompted. patch, cls: predict
    colour and shape from a patch token and from CLS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names = nn.Linear(WIDTH, WIDTH)
        self.inside = nn.Linear(WIDTH, 1)
        self.patch, self.cls = Words(), Words()


def make_model(tokenizer: CLIPTokenizer) -> CLIPModel:
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 77,
        "projection_dim": 128,
        **ends,
    }
    vision = {**VISION, "num_attention_heads": 4, "projection_dim": 128}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


def normalise(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32, normalised with CLIP's mean and std."""
    planes = images.permute(0, 3, 1, 2).float() / 255
    return (planes - torch.tensor(CLIP_MEAN).view(3, 1, 1)) / torch.tensor(CLIP_STD).view(3, 1, 1)


def embed_patches(model: CLIPModel, planes: Tensor, place: tuple[int, int] | None = None) -> Tensor:
    """(B, 3, H, W) -> (B, 1 + n, D), position embeddings interpolated bilinearly.

    place: for a window, row and column of its first patch in the grid; its position embeddings are not interpolated.
    """
    parts = model.vision_model.embeddings
    patches = parts.patch_embedding(planes)
    rows, columns = patches.shape[2:]
    table = parts.position_embedding.weight
    side = math.isqrt(len(table) - 1)
    grid = table[1:].T.reshape(1, -1, side, side)
    if place is None:
        grid = F.interpolate(grid, (rows, columns), mode="bilinear", align_corners=False)
    else:
        top, left = place
        grid = grid[:, :, top : top + rows, left : left + columns]
    tokens = (patches + grid).flatten(2).transpose(1, 2)
    cls = (parts.class_embedding + table[0]).expand(len(planes), 1, -1)
    return model.vision_model.pre_layrnorm(torch.cat([cls, tokens], 1))


def attend(layer: nn.Module, a: Tensor) -> tuple[Tensor, Tensor]:
    """Self-attention of one block on its normalised input: output (B, T, D) and weights (B, heads, T, T)."""
    batch, count, width = a.shape
    heads = layer.self_attn.num_heads
    q, k, v = (
        proj(a).view(batch, count, heads, -1).transpose(1, 2)
        for proj in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
    )
    weights = (q @ k.transpose(2, 3) * (width // heads) ** -0.5).softmax(-1)
    return layer.self_attn.out_proj((weights @ v).transpose(1, 2).reshape(batch, count, width)), weights


def run_block(layer: nn.Module, x: Tensor) -> Tensor:
    """One block of the image tower, (B, T, D) -> (B, T, D), without keeping its attention weights."""
    a = layer.layer_norm1(x)
    heads = layer.self_attn.num_heads
    q, k, v = (
        proj(a).unflatten(2, (heads, -1)).transpose(1, 2)
        for proj in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj)
    )
    x = x + layer.self_attn.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    return x + layer.mlp(layer.layer_norm2(x))


def save(model: CLIPModel, folder: Path) -> None:
    state = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if "position_ids" not in name
    }
    state["logit_scale"] = model.logit_scale.detach().clamp(max=math.log(100)).to(torch.float32)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=True))
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    # g sees the whole frame, squashed to a square: things near the left and right border count too.
    look = {
        "do_resize": True,
        "size": {"height": SQUASHED, "width": SQUASHED},
        "resample": 3,
        "do_center_crop": False,
        "do_normalize": True,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(look, indent=1) + "\n")
