"""Class-aware affinity (CAA) of CLIP-ES: attention, made doubly stochastic, spreads a CAM over its object."""

from __future__ import annotations

import torch
from torch import Tensor

from carvid.car.components import component_boxes

SINKHORN_STEPS = 3
# A is applied twice: refined = (A A)(B * cam).
APPLICATIONS = 2


def min_max(maps: Tensor) -> Tensor:
    """Each map (..., n) scaled to [0, 1]; a constant map becomes zeros."""
    low, high = maps.amin(-1, keepdim=True), maps.amax(-1, keepdim=True)
    span = high - low
    return torch.where(span > 0, (maps - low) / span.clamp(min=torch.finfo(maps.dtype).tiny), 0.0)


class Affinity:
    """A = (D + D^T) / 2 of one frame, D the attention W (n, n) after Sinkhorn's normalisation.

    Sinkhorn only scales rows and columns, D = diag(left) W diag(right); so neither D nor A is ever formed,
    and A x costs two thin products with W.
    """

    def __init__(self, attention: Tensor) -> None:
        """attention: W (n, n) float32, positive."""
        self._attention = attention
        left = attention.new_ones(len(attention))
        for _ in range(SINKHORN_STEPS):
            right = 1 / (left @ attention)
            left = 1 / (attention @ right)
        self._left, self._right = left, right

    def spread(self, maps: Tensor) -> Tensor:
        """A A x for each map: (K, n) -> (K, n)."""
        w, left, right = self._attention, self._left, self._right
        for _ in range(APPLICATIONS):
            forward = ((maps * right) @ w.T) * left
            backward = ((maps * left) @ w) * right
            maps = (forward + backward) / 2
        return maps


def box_mask(cams: Tensor, lam: float) -> Tensor:
    """B: the bounding boxes of all contours of each CAM cut at lam * its maximum.

    cams: (K, rows, columns) in [0, 1]. Returns (K, rows, columns) bool; nothing where the CAM is all zero.
    """
    return component_boxes(cams > lam * cams.amax((1, 2), keepdim=True))


def refine_cams(cams: Tensor, affinity: Affinity, lam: float) -> Tensor:
    """Refined maps of K CAMs: min-max of (A A)(B * cam). (K, rows, columns) -> the same, in [0, 1]."""
    boxed = cams * box_mask(cams, lam)
    return min_max(affinity.spread(boxed.flatten(1))).view_as(cams)
