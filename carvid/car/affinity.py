"""Class-aware affinity (CAA) of CLIP-ES: spreads a CAM over its object by the attention, made doubly stochastic."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import cv2
import numpy as np
import torch
from torch import Tensor

from carvid.car.components import component_boxes

SINKHORN_STEPS = 3
# A is applied twice: refined = (A A)(B * cam).
APPLICATIONS = 2


def min_max(maps: Tensor) -> Tensor:
    """Scale each map (..., n), floating point, to [0, 1]; a constant map becomes zeros."""
    low, high = maps.amin(-1, keepdim=True), maps.amax(-1, keepdim=True)
    span = high - low
    return torch.where(span > 0, (maps - low) / span.clamp(min=torch.finfo(maps.dtype).tiny), 0.0)


class Affinity:
    """A = (D + D^T) / 2 for each of B frames, where D is the attention W (n, n) after Sinkhorn's normalisation.

    Sinkhorn only scales rows and columns, D = diag(left) W diag(right), so neither D nor A is ever formed,
    and A x costs two thin products with W.
    """

    def __init__(self, attention: Tensor) -> None:
        """attention: W (B, n, n) float32, positive."""
        self._attention = attention
        left = attention.new_ones(attention.shape[:2])
        for _ in range(SINKHORN_STEPS):
            right = 1 / (left[:, None] @ attention)[:, 0]
            left = 1 / (attention @ right[:, :, None])[:, :, 0]
        self._left, self._right = left, right

    def only(self, frames: slice) -> Affinity:
        """The affinity of these frames alone."""
        part = copy(self)
        part._attention = self._attention[frames]
        part._left, part._right = self._left[frames], self._right[frames]
        return part

    def spread(self, maps: Tensor) -> Tensor:
        """A A x for each map x: (B, K, n) float32 -> the same shape."""
        w, left, right = self._attention, self._left[:, None], self._right[:, None]
        for _ in range(APPLICATIONS):
            forward = ((maps * right) @ w.transpose(1, 2)) * left
            backward = ((maps * left) @ w) * right
            maps = (forward + backward) / 2
        return maps


def box_mask(cams: Tensor, lam: float, switches: Sequence[str] = ()) -> Tensor:
    """B: the bounding boxes of all contours of each CAM, cut at lam times its maximum.

    cams: (..., rows, columns) in [0, 1]. switches: names in `carvid.recipe.variant.SWITCHES`.
    Returns bool of the same shape; all False where the CAM is all zero.
    """
    cut = _cut_in_8_bits(cams, lam) if "boxes-8-bits" in switches else cams > lam * _peak(cams)
    maps = cut.flatten(0, -3)
    # On the host OpenCV is faster, and of the devices only CUDA supports what `component_boxes` needs.
    boxes = boxes_on_host(maps) if cams.device.type in ("cpu", "mps") else component_boxes(maps)
    if "boxes-border" in switches:
        boxes[:, -1:] = False
        boxes[:, :, -1:] = False
    return boxes.view_as(cut)


def _peak(maps: Tensor) -> Tensor:
    return maps.amax((-2, -1), keepdim=True)


def _cut_in_8_bits(cams: Tensor, lam: float) -> Tensor:
    """Where CAMs (..., rows, columns) in [0, 1], as whole numbers of 8 bits, are above lam times their maximum, cut
    down to a whole number; where lam leaves nothing, it is lowered by .1."""
    # Only at 1 does it leave nothing.
    lam = 0.9 if lam == 1 else lam
    whole = (cams * 255).to(torch.uint8)
    # A table, so that the product is made in Python's numbers on every device.
    bounds = torch.tensor([int(lam * peak) for peak in range(256)], device=cams.device)
    return whole > bounds[_peak(whole).long()]


def boxes_on_host(maps: Tensor) -> Tensor:
    """`component_boxes`, computed by OpenCV on the host: (K, R, C) bool -> the same."""
    boxes = np.zeros(maps.shape, bool)
    for one, out in zip(maps.to(torch.uint8).cpu().numpy(), boxes, strict=True):
        count, _, stats, _ = cv2.connectedComponentsWithStats(one, connectivity=8)
        for x, y, width, height, _ in stats[1:count]:
            out[y : y + height, x : x + width] = True
    return torch.from_numpy(boxes).to(maps.device)


def refine_cams(cams: Tensor, affinity: Affinity, lam: float, switches: Sequence[str] = ()) -> Tensor:
    """Refine K CAMs per frame: min-max of (A A)(B * cam). (B, K, rows, columns) in [0, 1] -> the same."""
    boxed = cams * box_mask(cams, lam, switches)
    return min_max(affinity.spread(boxed.flatten(2))).view_as(cams)
