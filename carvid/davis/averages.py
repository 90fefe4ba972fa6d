"""Averages over objects and over expression sets, and how certain they are: a bootstrap over videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carvid.davis.protocols import ObjectScore
from carvid.measures.over_frames import Statistics

BOOTSTRAP_SAMPLES = 10_000
BOOTSTRAP_SEED = 0
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Averages:
    """Means over objects. jf_mean = (mean of J + mean of F) / 2."""

    jf_mean: float
    j: Statistics
    f: Statistics


@dataclass(frozen=True)
class Interval:
    """The bootstrap 95 % interval of jf_mean, j.mean and f.mean over videos, each (low, high)."""

    jf_mean: tuple[float, float]
    j_mean: tuple[float, float]
    f_mean: tuple[float, float]


def average_objects(objects: Sequence[ObjectScore]) -> Averages:
    """Each statistic averaged over objects."""
    return _averages([score.j for score in objects], [score.f for score in objects])


def average_sets(averages: Sequence[Averages]) -> Averages:
    """Each statistic averaged over expression sets."""
    return _averages([one.j for one in averages], [one.f for one in averages])


def bootstrap(sets: Sequence[Sequence[Sequence[ObjectScore]]]) -> Interval | None:
    """The percentile interval when videos are drawn with replacement, the same draw for all sets.

    sets: per expression set, the objects of each video; all sets have the same videos in the same order. The
    draws are seeded. None with fewer than two videos.
    """
    video_count = len(sets[0])
    if video_count < 2:
        return None
    # (S, V, 2): sum over a video's objects of the mean J and F; (V,): how many objects it has.
    totals = np.array([[_object_totals(objects) for objects in videos] for videos in sets], dtype=np.float64)
    counts = np.array([len(objects) for objects in sets[0]])
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(video_count, size=(BOOTSTRAP_SAMPLES, video_count))
    per_set = totals[:, draws].sum(axis=2) / counts[draws].sum(axis=1)[None, :, None]
    j, f = per_set.mean(axis=0).T  # (B,) each
    return Interval(_percentiles((j + f) / 2), _percentiles(j), _percentiles(f))


def _object_totals(objects: Sequence[ObjectScore]) -> tuple[float, float]:
    return sum(score.j.mean for score in objects), sum(score.f.mean for score in objects)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values, (tail, 100 - tail))
    return float(low), float(high)


def _averages(j: Sequence[Statistics], f: Sequence[Statistics]) -> Averages:
    mean_j, mean_f = _mean_statistics(j), _mean_statistics(f)
    return Averages((mean_j.mean + mean_f.mean) / 2, mean_j, mean_f)


def _mean_statistics(of: Sequence[Statistics]) -> Statistics:
    return Statistics(
        mean=float(np.mean([one.mean for one in of])),
        recall=float(np.mean([one.recall for one in of])),
        decay=float(np.mean([one.decay for one in of])),
    )
