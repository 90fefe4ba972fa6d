"""Where SAM is asked: the grids of points, the crops of the frame, and which points lie near a mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Crop:
    """A part of the frame, looked at on its own.

    x0, y0 (included) and x1, y1 (excluded) in px of the frame. layer: 0 for the whole frame.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    layer: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.y1 - self.y0, self.x1 - self.x0


def point_grid(per_side: int) -> NDArray[np.float64]:
    """per_side^2 points (P, 2), x and y in (0, 1), row by row, each in the middle of its cell."""
    offset = 1 / (2 * per_side)
    line = np.linspace(offset, 1 - offset, per_side)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def layer_grids(per_side: int, layers: int, downscale: int) -> list[NDArray[np.float64]]:
    """The frame's grid and those of `layers` crop layers; from layer to layer `downscale` times fewer points a side.

    A layer left without any point has an empty grid.
    """
    counts = [int(per_side / downscale**layer) for layer in range(layers + 1)]
    return [point_grid(count) if count else np.zeros((0, 2)) for count in counts]


def crops(height: int, width: int, layers: int, overlap_ratio: float) -> list[Crop]:
    """The frame, then the 4^i crops of each layer i, column by column from the left, without empty ones.

    overlap_ratio: by how much of the frame's shorter side the crops of layer 1 overlap; deeper ones by less.
    """
    out = [Crop(0, 0, width, height, 0)]
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        crop_w = math.ceil((overlap * (per_side - 1) + width) / per_side)
        crop_h = math.ceil((overlap * (per_side - 1) + height) / per_side)
        for i, j in product(range(per_side), repeat=2):
            x0, y0 = (crop_w - overlap) * i, (crop_h - overlap) * j
            # Rounding up leaves nothing for the last crops of a frame a few pixels wide.
            if x0 < width and y0 < height:
                out.append(Crop(x0, y0, min(x0 + crop_w, width), min(y0 + crop_h, height), layer))
    return out


def grow(mask: Tensor, margin_px: int) -> Tensor:
    """The (H, W) bool mask grown to every pixel at most `margin_px` columns and rows from one of its own."""
    height, width = mask.shape
    # (H + 1, W + 1): how many of the mask's pixels lie above and to the left of each corner
    counts = torch.zeros((height + 1, width + 1), dtype=torch.int64, device=mask.device)
    counts[1:, 1:] = mask.long().cumsum(0).cumsum(1)
    rows, columns = torch.arange(height, device=mask.device), torch.arange(width, device=mask.device)
    upper = counts[(rows - margin_px).clamp_min(0)]
    lower = counts[(rows + margin_px + 1).clamp_max(height)]
    left = (columns - margin_px).clamp_min(0)
    right = (columns + margin_px + 1).clamp_max(width)
    return (lower[:, right] - lower[:, left] - upper[:, right] + upper[:, left]) > 0


def points_in(points: NDArray[np.float64], region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the points (P, 2), x and y in px of the (H, W) region, lie in it: (P,) bool."""
    height, width = region.shape
    x = np.clip(np.floor(points[:, 0]).astype(int), 0, width - 1)
    y = np.clip(np.floor(points[:, 1]).astype(int), 0, height - 1)
    inside: NDArray[np.bool_] = region[y, x]
    return inside
