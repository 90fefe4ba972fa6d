"""J and F of one mask against another, and what is said of their values over frames (DAVIS 2016, section 4).

J is the intersection over union of two masks; F is the F-measure of two boundaries, each allowed to lie a few
pixels away from the other. These are the definitions, one pair of masks at a time; `carvid.davis.labelmaps`
computes the same numbers for all pairs of two label maps at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BOUNDARY_TOLERANCE = 0.008
"""How far a boundary pixel may lie from the other boundary, as a share of the image diagonal."""

RECALL_THRESHOLD = 0.5
"""A frame counts as recalled when its J (or F) lies above this."""

DECAY_QUARTERS = 4


@dataclass(frozen=True)
class Statistics:
    """What J or F does over the frames of one object.

    mean: mean over frames, in [0, 1].
    recall: share of frames above 0.5, in [0, 1].
    decay: mean of the first quarter of the frames minus that of the last, in [-1, 1].
    """

    mean: float
    recall: float
    decay: float


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


def jaccard(
    annotation: NDArray[np.bool_], prediction: NDArray[np.bool_], void: NDArray[np.bool_] | None = None
) -> float:
    """J of two (H, W) bool masks, in [0, 1]; pixels of `void` (H, W) bool are left out of both.

    Two empty masks agree: J is 1.
    """
    counted = True if void is None else ~void
    union = int(np.count_nonzero((annotation | prediction) & counted))
    if union == 0:
        return 1.0
    return int(np.count_nonzero(annotation & prediction & counted)) / union


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


def statistics(values: NDArray[np.float64]) -> Statistics:
    """Mean, recall and decay of (T,) float64 values over T >= 1 frames; NaN values are left out.

    Quarter i of the decay is frames b[i]..b[i+1], both ends included, with
    b = round(linspace(1, T, 5) + 1e-10) - 1 as in the reference code, but in whole numbers that do not wrap
    past 256 frames.
    """
    bounds = np.round(np.linspace(1, len(values), DECAY_QUARTERS + 1) + 1e-10).astype(np.int64) - 1
    first, last = values[bounds[0] : bounds[1] + 1], values[bounds[-2] : bounds[-1] + 1]
    return Statistics(
        mean=_mean(values),
        # A NaN frame compares as not recalled, and is still counted: so does the reference code.
        recall=float(np.mean(values > RECALL_THRESHOLD)),
        decay=_mean(first) - _mean(last),
    )


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return float(np.mean(values, where=known)) if known.any() else math.nan
