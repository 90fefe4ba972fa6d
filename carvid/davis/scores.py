"""What scoring finds out: per object, video, set and protocol, with averages and a bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.davis.protocols import ObjectScore, Protocol
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


@dataclass(frozen=True, eq=False)
class VideoScore:
    """One video under one protocol.

    frame_ids: the frames scored, one per value of an object's j_per_frame. objects: object 1 first.
    """

    video: str
    frame_ids: tuple[str, ...]
    objects: tuple[ObjectScore, ...]
    averages: Averages


@dataclass(frozen=True, eq=False)
class ProtocolScore:
    """One expression set, or the mean over sets, under one protocol.

    refused: why it was not scored; then `videos` is empty and `averages` None.
    averages: over all objects of all videos (not over videos).
    interval: None with fewer than two videos, which say nothing of the spread between videos.
    """

    protocol: Protocol
    videos: tuple[VideoScore, ...] = ()
    averages: Averages | None = None
    interval: Interval | None = None
    refused: str | None = None


@dataclass(frozen=True, eq=False)
class SetScore:
    """One expression set under both protocols.

    missing_frames: how many prediction frames were not there and scored as empty.
    prediction_sha256: video -> hash over the names and contents of the prediction files scored.
    """

    index: int
    folder: Path
    protocols: Mapping[Protocol, ProtocolScore]
    missing_frames: int
    prediction_sha256: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Scores:
    """All that was scored.

    sets: by ascending expression set. overall: the mean of the sets' averages, by protocol.
    annotation_sha256: video -> hash over the names and contents of its annotation files.
    refusals: what was not scored and why, one sentence each; the command fails when there are any.
    """

    split: str
    annotations: Path
    predictions: Path
    sets: tuple[SetScore, ...]
    overall: Mapping[Protocol, ProtocolScore]
    annotation_sha256: Mapping[str, str]

    @property
    def refusals(self) -> tuple[str, ...]:
        return tuple(
            f"set {one.index}, {protocol}: {score.refused}"
            for one in self.sets
            for protocol, score in one.protocols.items()
            if score.refused is not None
        )


def average_objects(objects: Sequence[ObjectScore]) -> Averages:
    """Each statistic averaged over objects."""
    return _averages([score.j for score in objects], [score.f for score in objects])


def average_sets(averages: Sequence[Averages]) -> Averages:
    """Each statistic averaged over expression sets."""
    return _averages([one.j for one in averages], [one.f for one in averages])


def bootstrap(sets: Sequence[Sequence[VideoScore]]) -> Interval | None:
    """The percentile interval when videos are drawn with replacement, the same draw for all sets.

    sets: per expression set, the same videos in the same order. Seeded; None with fewer than two videos.
    """
    video_count = len(sets[0])
    if video_count < 2:
        return None
    # (S, V, 2): sum over a video's objects of the mean J and F; (V,): how many objects it has.
    totals = np.array(
        [[_object_totals(video.objects) for video in videos] for videos in sets], dtype=np.float64
    )
    objects = np.array([len(video.objects) for video in sets[0]])
    draws = np.random.default_rng(BOOTSTRAP_SEED).integers(video_count, size=(BOOTSTRAP_SAMPLES, video_count))
    per_set = totals[:, draws].sum(axis=2) / objects[draws].sum(axis=1)[None, :, None]
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
