"""Blocks of a vision tower whose linear layers multiply whole numbers of 8 bits, by PyTorch's own product of these.

Each output of a layer has a scale for its weights, found once; each token has one for its inputs, found as they come.
A few channels of CLIP's activations are far larger than the rest, so that one scale for all tokens would be too coarse
for most.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.clip.vision import QUICK_GELU, Block, VisionTower, split_heads

#: The whole numbers go from -LARGEST to LARGEST.
LARGEST = 127
# The least scale, for rows of zeros.
TINY = torch.finfo(torch.float32).tiny


def whole_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (R, C) float32 as whole numbers (R, C) int8 and a scale (R,) for each row, to be multiplied by."""
    scale = rows.abs().amax(1).div_(LARGEST).clamp_(min=TINY)
    return (rows / scale[:, None]).round_().to(torch.int8), scale


def int8_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The linear layer (..., I) float32 -> (..., O) float32 of weight (O, I) int8, scale and bias (O,) float32."""
    rows, scale_of_row = whole_rows(x.flatten(0, -2))
    product = torch._int_mm(rows, weight.T) * scale_of_row[:, None]
    return torch.addcmul(bias, product, scale, out=product).view(*x.shape[:-1], -1)


@dataclass(frozen=True)
class Int8Block(Block):
    """A block whose four weights (O, I) are int8, each with a scale (O,) float32 for its rows.

    quick_gelu's factor is in the scale and bias of fc1, and its inverse in the scale of fc2, so that silu is left.
    """

    query_key_value_scale: Tensor
    out_scale: Tensor
    fc1_scale: Tensor
    fc2_scale: Tensor

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        joint = int8_linear(a, self.query_key_value, self.query_key_value_scale, self.query_key_value_bias)
        return split_heads(joint, self.heads)

    def merge(self, heads: Tensor) -> Tensor:
        return int8_linear(heads.transpose(1, 2).flatten(2), self.out, self.out_scale, self.out_bias)

    def mlp(self, x: Tensor) -> Tensor:
        hidden = int8_linear(self.norm2(x), self.fc1, self.fc1_scale, self.fc1_bias)
        hidden = F.silu(hidden, inplace=True) if self.activation == "quick_gelu" else F.gelu(hidden)
        return int8_linear(hidden, self.fc2, self.fc2_scale, self.fc2_bias)


def int8_block(block: Block) -> Int8Block:
    """The block with its weights, float32 on a CPU, rounded to int8."""
    gain = QUICK_GELU if block.activation == "quick_gelu" else 1.0
    parts = {field.name: getattr(block, field.name) for field in fields(block)}
    for name, factor in (("query_key_value", 1.0), ("out", 1.0), ("fc1", gain), ("fc2", 1 / gain)):
        parts[name], scale = whole_rows(parts[name])
        parts[f"{name}_scale"] = scale * factor
    return Int8Block(**{**parts, "fc1_bias": block.fc1_bias * gain})


def int8_tower(tower: VisionTower) -> VisionTower:
    """The tower with all blocks but the last rounded to int8: Grad-CAM takes the last one's weights in float32."""
    return replace(tower, blocks=(*map(int8_block, tower.blocks[:-1]), tower.blocks[-1]))
