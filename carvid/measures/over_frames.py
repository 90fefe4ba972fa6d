"""Statistics of a measure over the frames of a video: mean, recall and decay (DAVIS 2016, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECALL_THRESHOLD = 0.5
"""A frame counts as recalled when its J (or F) lies above this."""

DECAY_QUARTERS = 4


@dataclass(frozen=True)
class Statistics:
    """J or F over the frames of one object.

    mean: mean over frames, in [0, 1].
    recall: share of frames above 0.5, in [0, 1].
    decay: mean of the first quarter of the frames minus that of the last, in [-1, 1].
    """

    mean: float
    recall: float
    decay: float


def statistics(values: NDArray[np.float64]) -> Statistics:
    """Mean, recall and decay of (T,) float64 values over T >= 1 frames; the means leave NaN values out.

    Quarter i of the decay is frames b[i]..b[i+1], both ends included, with
    b = round(linspace(1, T, 5) + 1e-10) - 1 as in the reference code, which however wraps past 256 frames.
    """
    bounds = np.round(np.linspace(1, len(values), DECAY_QUARTERS + 1) + 1e-10).astype(np.int64) - 1
    first, last = values[bounds[0] : bounds[1] + 1], values[bounds[-2] : bounds[-1] + 1]
    return Statistics(
        mean=_mean(values),
        # A NaN frame counts as not recalled, as in the reference code.
        recall=float(np.mean(values > RECALL_THRESHOLD)),
        decay=_mean(first) - _mean(last),
    )


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    return float(np.mean(values, where=known)) if known.any() else math.nan
