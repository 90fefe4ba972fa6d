"""The scores of a split, per object, video, set and protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carvid.davis.averages import Averages, Interval
from carvid.davis.label_measures import LabelMeasures, columns_of, mean_columns
from carvid.davis.protocols import ObjectScore, Protocol


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
    left_out: a sentence for each video that is not among the others, as the protocol has nothing to score in it.
    averages: over all objects of all videos (not over videos).
    interval: None with fewer than two videos, which show no spread between videos.
    """

    protocol: Protocol
    videos: tuple[VideoScore, ...] = ()
    averages: Averages | None = None
    interval: Interval | None = None
    refused: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SetScore:
    """One expression set under both protocols.

    labels: video -> what was asked for beside J and F.
    missing_frames: how many prediction frames were missing and scored as empty.
    prediction_sha256: video -> hash over the names and contents of the prediction files scored.
    """

    index: int
    folder: Path
    protocols: Mapping[Protocol, ProtocolScore]
    labels: Mapping[str, LabelMeasures]
    missing_frames: int
    prediction_sha256: Mapping[str, str]

    @property
    def label_columns(self) -> dict[str, float | None]:
        """What was asked for beside J and F by column, over all videos; see `carvid.davis.label_measures`."""
        return columns_of(list(self.labels.values()))


@dataclass(frozen=True, eq=False)
class Scores:
    """Everything that was scored.

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
    def label_columns(self) -> dict[str, float | None]:
        """The mean of the sets' `label_columns`."""
        return mean_columns([one.label_columns for one in self.sets])

    @property
    def left_out(self) -> tuple[str, ...]:
        """The videos that a protocol had nothing to score in, one sentence each."""
        return tuple(
            f"{protocol}: {video}" for protocol, score in self.overall.items() for video in score.left_out
        )

    @property
    def refusals(self) -> tuple[str, ...]:
        return tuple(
            f"set {one.index}, {protocol}: {score.refused}"
            for one in self.sets
            for protocol, score in one.protocols.items()
            if score.refused is not None
        )
