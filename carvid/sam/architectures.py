"""The configurations of SAM's three sizes, for seeded random weights: the real cost without a download."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch

RANDOM_SEED = 0

#: The two-way transformer of segment-anything has PyTorch's own layer norm epsilon, the rest 1e-6.
DECODER_NORM_EPS = 1e-5


def _vit(width: int, layers: int, heads: int, global_blocks: tuple[int, ...]) -> dict[str, Any]:
    return {
        "model_type": "sam",
        "vision_config": {
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "global_attn_indexes": list(global_blocks),
        },
        "prompt_encoder_config": {},
        "mask_decoder_config": {"layer_norm_eps": DECODER_NORM_EPS},
    }


#: SamConfig dictionaries of ViT-B, ViT-L and ViT-H at 1024 pixels.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "vit-b": _vit(768, 12, 12, (2, 5, 8, 11)),
    "vit-l": _vit(1024, 24, 16, (5, 11, 17, 23)),
    "vit-h": _vit(1280, 32, 16, (7, 15, 23, 31)),
}


def random_state_dict(shapes: Mapping[str, torch.Size], seed: int = RANDOM_SEED) -> dict[str, torch.Tensor]:
    """Random float32 CPU tensors for SamModel's names and shapes; equal seeds give equal tensors.

    Matrices are normal with variance 1/fan_in, embeddings and position tables normal with 0.02, frequencies
    of the position encoding normal with 1, layer norms the identity, biases zero. Each tensor depends on the
    seed and on its own name alone. Predicted IoUs lie above 1, so that no mask is filtered out by them.
    """
    state = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        if name == "mask_decoder.iou_prediction_head.proj_out.bias":
            tensor = torch.full(shape, 2.0)
        elif name.endswith(".bias"):
            tensor = torch.zeros(shape)
        elif "norm" in name:
            tensor = torch.ones(shape)
        elif name.endswith("positional_embedding"):
            tensor = torch.empty(shape).normal_(0, 1, generator=generator)
        elif len(shape) < 2 or "embed" in name.split(".")[-2] or "token" in name or "pos" in name:
            tensor = torch.empty(shape).normal_(0, 0.02, generator=generator)
        else:
            tensor = torch.empty(shape).normal_(0, shape[1:].numel() ** -0.5, generator=generator)
        state[name] = tensor
    twin, shared = "prompt_encoder.shared_embedding.positional_embedding", "shared_image_embedding"
    if twin in state:
        state[twin] = state[f"{shared}.positional_embedding"]
    return state
