"""IoU of masks that are torch tensors, apart from the rest so that scoring need not import torch."""

from __future__ import annotations

from torch import Tensor

from carvid.measures.pair import iou_from_counts


def iou(first: Tensor, second: Tensor) -> float:
    """IoU of two (H, W) bool masks on one device, in [0, 1]; see `carvid.measures.pair.iou`."""
    return iou_from_counts(int((first & second).sum()), int((first | second).sum())).item()
