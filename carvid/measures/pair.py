"""IoU and boundary F of one mask against another: the definitions.

IoU is the intersection over union of two masks, which DAVIS calls J. F is the F-measure of their boundaries,
where a boundary pixel may lie a few pixels away from the other boundary (DAVIS 2016, section 4).
`carvid.measures.label_maps` computes both for all pairs of labels of two label maps at once, and
`carvid.measures.on_device` computes IoU for torch tensors.

Where there is nothing to divide by, the two masks agree: the IoU of two empty masks is 1, and so is the F of two
masks without boundary, as in the DAVIS evaluator.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

BOUNDARY_TOLERANCE = 0.008
"""How far a boundary pixel may lie from the other boundary, as a share of the image diagonal."""


def boundary_radius_px(height: int, width: int) -> int:
    """The radius, in pixels, within which two boundary pixels count as the same: ceil(0.008 * diagonal)."""
    return math.ceil(BOUNDARY_TOLERANCE * float(np.linalg.norm((height, width))))


def disk(radius_px: int) -> NDArray[np.uint8]:
    """(2r+1, 2r+1) uint8, 1 where the distance to the centre is at most `radius_px`."""
    y, x = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    inside: NDArray[np.bool_] = x * x + y * y <= radius_px * radius_px
    return inside.astype(np.uint8)


def boundary_map(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The one pixel wide boundary of a mask by the half-pixel rule of the Berkeley benchmark.

    mask: (H, W) bool. Returns (H, W) bool: True where the 2 x 2 block that begins at the pixel holds both
    values. Beyond the last row and column the image repeats itself, so the image border is no boundary.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    block = (padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:])
    edge: NDArray[np.bool_] = (block[0] ^ block[1]) | (block[0] ^ block[2]) | (block[0] ^ block[3])
    return edge


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_], void: NDArray[np.bool_] | None = None) -> float:
    """IoU of two (H, W) bool masks, in [0, 1]; pixels of `void` (H, W) bool are left out. Two empty masks: 1."""
    shared, either = first & second, first | second
    if void is not None:
        shared, either = shared & ~void, either & ~void
    return iou_from_counts(np.count_nonzero(shared), np.count_nonzero(either)).item()


def iou_from_counts(shared_px: ArrayLike, either_px: ArrayLike) -> NDArray[np.float64]:
    """IoU from the pixels two masks share and those in either of them; 1 where there are none in either.

    The arguments broadcast.
    """
    shared, either = np.broadcast_arrays(shared_px, either_px)
    ratio: NDArray[np.float64] = np.divide(shared, either, out=np.ones(either.shape), where=either > 0)
    return ratio


def boundary_f(
    annotation: NDArray[np.bool_], prediction: NDArray[np.bool_], void: NDArray[np.bool_] | None = None
) -> float:
    """F of the boundaries of two (H, W) bool masks, in [0, 1]; `void` (H, W) bool is cleared in both first.

    Precision is the share of the prediction's boundary pixels within `boundary_radius_px` of the
    annotation's boundary, recall the reverse; F is their harmonic mean. Two masks without boundary agree (F
    is 1); when one alone has none, F is 0. A mask that fills the image has no boundary.
    """
    if void is not None:
        annotation, prediction = annotation & ~void, prediction & ~void
    true_edge, found_edge = boundary_map(annotation), boundary_map(prediction)
    footprint = disk(boundary_radius_px(*annotation.shape))
    near_true = cv2.dilate(true_edge.astype(np.uint8), footprint) > 0
    near_found = cv2.dilate(found_edge.astype(np.uint8), footprint) > 0
    counts = (found_edge, true_edge, found_edge & near_true, true_edge & near_found)
    return float(f_from_counts(*(np.asarray(np.count_nonzero(count)) for count in counts)))


def f_from_counts(
    found_px: NDArray[np.integer],
    true_px: NDArray[np.integer],
    found_matched_px: NDArray[np.integer],
    true_matched_px: NDArray[np.integer],
) -> NDArray[np.float64]:
    """F from the lengths of two boundaries and how much of each lies near the other, all in pixels.

    The arguments broadcast. With one boundary empty, precision and recall are 1 and 0 (or 0 and 1), so F is
    0; with both empty F is 1.
    """
    found, true = np.broadcast_arrays(found_px, true_px)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(found > 0, found_matched_px / found, 1.0)
        recall = np.where(true > 0, true_matched_px / true, 1.0)
        total = precision + recall
        return np.where(total > 0, 2 * precision * recall / total, 0.0)
