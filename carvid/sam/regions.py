"""Small holes filled, small islands removed, and which masks become duplicates by that."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from carvid.media.packed import PackedMasks
from carvid.sam.suppression import mask_boxes, suppress


def fill_holes(mask: NDArray[np.bool_], min_area_px: int) -> tuple[NDArray[np.bool_], bool]:
    """The (H, W) mask with its 8-connected holes below `min_area_px` filled, and whether it had any."""
    regions, small, _ = _regions(~mask, min_area_px)
    return mask | np.isin(regions, small), len(small) > 0


def remove_islands(mask: NDArray[np.bool_], min_area_px: int) -> tuple[NDArray[np.bool_], bool]:
    """The (H, W) mask without its 8-connected parts below `min_area_px`, and whether it had any.

    If all parts are that small, the largest stays.
    """
    regions, small, sizes = _regions(mask, min_area_px)
    gone = np.delete(small, np.argmax(sizes)) if len(small) and len(small) == len(sizes) else small
    return mask & ~np.isin(regions, gone), len(small) > 0


def clean(
    masks: PackedMasks, boxes: NDArray[np.int64], min_area_px: int, iou_thresh: float
) -> tuple[PackedMasks, NDArray[np.int64], NDArray[np.int64]]:
    """Fill holes, remove islands, and suppress the duplicates that makes; masks left as they were win.

    Returns the masks kept, their boxes (K, 4) and their indices among those given (K,).
    """
    if len(masks) == 0:
        return masks, boxes, np.zeros(0, np.int64)
    device = masks.bits.device
    cleaned: list[PackedMasks] = []
    untouched = np.zeros(len(masks), np.float32)
    boxes = boxes.copy()
    for i in range(len(masks)):
        mask = masks.select([i]).unpack()[0].cpu().numpy()
        mask, filled = fill_holes(mask, min_area_px)
        mask, removed = remove_islands(mask, min_area_px)
        untouched[i] = not (filled or removed)
        plane = torch.from_numpy(mask)[None].to(device)
        cleaned.append(PackedMasks.pack(plane))
        boxes[i] = mask_boxes(plane)[0].cpu().numpy()
    kept = suppress(boxes, untouched, iou_thresh)
    packed = PackedMasks.join(cleaned, masks.size, device)
    return packed.select(torch.from_numpy(kept)), boxes[kept], kept


def _regions(
    mask: NDArray[np.bool_], min_area_px: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """Labels (H, W) of the 8-connected regions, the labels below `min_area_px`, and the areas of all."""
    _, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]  # row 0 is everything outside
    return regions, np.flatnonzero(sizes < min_area_px) + 1, sizes
