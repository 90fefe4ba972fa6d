"""Which masks are duplicates or cut off by a crop: their boxes, and non-maximum suppression over them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: How near a box's side must be to a crop's border to count as cut off by it, in px.
CROP_EDGE_PX = 20


def mask_boxes(masks: Tensor) -> Tensor:
    """x0, y0, x1, y1 of the first and last pixel of (M, H, W) bool masks: (M, 4) int64; zeros if empty."""
    if len(masks) == 0:
        return torch.zeros((0, 4), dtype=torch.int64, device=masks.device)
    occupied = masks.flatten(1).any(1)
    columns, rows = masks.any(1).byte(), masks.any(2).byte()  # (M, W), (M, H)
    first = [columns.argmax(1), rows.argmax(1)]
    last = [line.shape[1] - 1 - line.flip(1).argmax(1) for line in (columns, rows)]
    return torch.where(occupied[:, None], torch.stack(first + last, dim=1), 0)


def cut_off(
    boxes: NDArray[np.int64], crop: tuple[int, int, int, int], height: int, width: int
) -> NDArray[np.bool_]:
    """Which boxes (M, 4), in px of the frame, end at the crop's border where that is not the frame's."""
    near_crop = np.abs(boxes - np.array(crop)) <= CROP_EDGE_PX
    near_frame = np.abs(boxes - np.array([0, 0, width, height])) <= CROP_EDGE_PX
    cut: NDArray[np.bool_] = (near_crop & ~near_frame).any(axis=1)
    return cut


def suppress(boxes: NDArray[np.int64], scores: NDArray[np.float32], iou_thresh: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression; the indices kept, best score first, ties in their order.

    boxes: (M, 4) x0, y0, x1, y1. A box whose IoU with a kept one exceeds `iou_thresh` goes. Areas are
    (x1 - x0)(y1 - y0), in float32, as torchvision has them; a box without area overlaps nothing.
    """
    corners = boxes.astype(np.float32)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low = np.maximum(corners[best, :2], corners[left, :2])
        high = np.minimum(corners[best, 2:], corners[left, 2:])
        overlap = np.clip(high - low, 0, None).prod(axis=1)
        union = areas[best] + areas[left] - overlap
        with np.errstate(invalid="ignore"):  # 0 / 0 for two boxes without area, which is above no threshold
            iou = (overlap / union).astype(np.float64)
        left = left[~(iou > iou_thresh)]
    return np.array(kept, dtype=np.int64)
