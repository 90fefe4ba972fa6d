"""The named architectures with seeded random weights: the real cost without a download, for benchmarks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch

RANDOM_SEED = 0

#: CLIPConfig dictionaries of the architectures of OpenAI's ViT-B/16 and ViT-L/14 at 224 pixels.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "vit-b16": {
        "projection_dim": 512,
        "vision_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "patch_size": 16,
            "image_size": 224,
        },
        "text_config": {
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
        },
    },
    "vit-l14": {
        "projection_dim": 768,
        "vision_config": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 224,
        },
        "text_config": {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
        },
    },
}

# What CLIP's logit scale is clipped to in training, and where it ends: exp(4.6052) = 100.
_LOGIT_SCALE = 4.6052


def random_state_dict(shapes: Mapping[str, torch.Size], seed: int = RANDOM_SEED) -> dict[str, torch.Tensor]:
    """Random float32 CPU tensors for CLIPModel's names and shapes; equal seeds give equal tensors.

    Matrices are normal with variance 1/fan_in, embeddings normal with 0.02, layer norms the identity, biases
    zero, logit_scale ln 100. Each tensor depends on the seed and on its own name alone.
    """
    state = {}
    for name, shape in shapes.items():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        if name == "logit_scale":
            tensor = torch.tensor(_LOGIT_SCALE)
        elif name.endswith(".bias"):
            tensor = torch.zeros(shape)
        elif "norm" in name:
            tensor = torch.ones(shape)
        elif "_embedding" in name and "patch" not in name:
            tensor = torch.empty(shape).normal_(0, 0.02, generator=generator)
        else:
            fan_in = shape[1:].numel()
            tensor = torch.empty(shape).normal_(0, fan_in**-0.5, generator=generator)
        state[name] = tensor
    return state
