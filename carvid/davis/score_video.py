"""Scores one video in all prediction sets, reading each file once. This is what a worker process runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.davis.dataset import AnnotatedVideo
from carvid.davis.flow_back import FlowBack
from carvid.davis.label_measures import LabelMeasures, LabelTally
from carvid.davis.labels import decode_label_map
from carvid.davis.predictions import PredictionSet
from carvid.davis.protocols import (
    IDENTITY_MIN_FRAMES,
    MAX_PROPOSALS,
    ObjectScore,
    Protocol,
    TruthFrame,
    VideoTally,
)
from carvid.errors import InputError
from carvid.motion.flow import Flow
from carvid.problems import listing


@dataclass(frozen=True, eq=False)
class VideoOutcome:
    """One video of one prediction set.

    objects: by protocol; none where refused or left out. refused: why, by protocol; the protocol then scores no
      video of the set. left_out: why the protocol has nothing to score in this video alone.
    labels: what was asked for beside J and F.
    problems: what makes the files unusable under either protocol; then the rest is empty.
    """

    objects: dict[Protocol, tuple[ObjectScore, ...]] = field(default_factory=dict)
    refused: dict[Protocol, str] = field(default_factory=dict)
    left_out: dict[Protocol, str] = field(default_factory=dict)
    labels: LabelMeasures = field(default_factory=LabelMeasures)
    problems: tuple[str, ...] = ()
    missing_frames: int = 0
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class VideoTask:
    """A video, and the prediction sets to score it in. Missing prediction frames count as empty.

    frame_paths: one image per annotation, in the same order, where temporal consistency is asked for.
    tracks: whether HOTA and IDF1 are.
    """

    video: AnnotatedVideo
    sets: tuple[PredictionSet, ...]
    frame_paths: tuple[Path, ...] | None
    tracks: bool


def score_video(task: VideoTask) -> tuple[str, tuple[VideoOutcome, ...]]:
    """The hash of the annotations, and an outcome per prediction set.

    An annotation or a frame that cannot be used is a problem in every outcome.
    """
    video = task.video
    truth_hash = hashlib.sha256()
    readers = [_SetReader(one, task) for one in task.sets]
    flow_back = FlowBack(video.height, video.width)
    truth_problems = []
    for place, path in enumerate(video.annotation_paths):
        try:
            data = path.read_bytes()
        except OSError as error:
            truth_problems.append(f"{path}: cannot be read ({error.strerror})")
            continue
        _update(truth_hash, path.name, data)
        try:
            annotation = decode_label_map(data, str(path))
        except InputError as error:
            truth_problems.append(str(error))
            continue
        if annotation.shape != (video.height, video.width):
            truth_problems.append(
                f"{path}: {_size(annotation)}, but the first annotation is {video.width}x{video.height}"
            )
            continue
        back = None
        if task.frame_paths is not None:
            # Read once for all sets.
            try:
                back = flow_back.add(task.frame_paths[place])
            except InputError as error:
                truth_problems.append(str(error))
                continue
        truth = TruthFrame.of(annotation, video.object_count)
        for reader in readers:
            reader.read(path.name, truth, back)
    if truth_problems:
        return truth_hash.hexdigest(), tuple(VideoOutcome(problems=tuple(truth_problems)) for _ in readers)
    return truth_hash.hexdigest(), tuple(reader.outcome() for reader in readers)


class _SetReader:
    """Reads one set's predictions of a video frame by frame."""

    def __init__(self, prediction_set: PredictionSet, task: VideoTask) -> None:
        self._folder = prediction_set.folder / task.video.name
        self._video = task.video
        self._tally = VideoTally(task.video.object_count)
        self._labels = LabelTally(consistency=task.frame_paths is not None, tracks=task.tracks)
        self._hash = hashlib.sha256()
        self._problems: list[str] = []
        self._missing = 0
        self._above: list[str] = []  # files with a label above the object count
        self._far_above: list[str] = []  # files with a label above MAX_PROPOSALS

    def read(self, file_name: str, truth: TruthFrame, back: Flow | None) -> None:
        path = self._folder / file_name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            self._missing += 1
            self._add(truth, np.zeros((self._video.height, self._video.width), np.uint8), back)
            return
        except OSError as error:
            self._problems.append(f"{path}: cannot be read ({error.strerror})")
            return
        _update(self._hash, file_name, data)
        try:
            prediction = decode_label_map(data, str(path))
        except InputError as error:
            self._problems.append(str(error))
            return
        if prediction.shape != (self._video.height, self._video.width):
            self._problems.append(
                f"{path}: {_size(prediction)}, but the annotation is {self._video.width}x{self._video.height}"
            )
            return
        highest = int(prediction.max(initial=0))
        if highest > self._video.object_count:
            self._above.append(f"{self._video.name}/{file_name} (label {highest})")
        if highest > MAX_PROPOSALS:
            self._far_above.append(f"{self._video.name}/{file_name} (label {highest})")
        if not self._problems:
            self._add(truth, prediction, back)

    def _add(self, truth: TruthFrame, prediction: NDArray[np.uint8], back: Flow | None) -> None:
        self._tally.add(truth, prediction)
        self._labels.add(truth, prediction, back)

    def outcome(self) -> VideoOutcome:
        if self._problems:
            return VideoOutcome(problems=tuple(self._problems))
        name, count = self._video.name, self._video.object_count
        refused: dict[Protocol, str] = {}
        left_out: dict[Protocol, str] = {}
        if self._above:
            refused["identity"] = (
                f"labels above the object count ({count}) in {len(self._above)} of {self._tally.frame_count} "
                f"frames of {name}: {_few(self._above)}"
            )
        elif self._tally.frame_count < IDENTITY_MIN_FRAMES:
            left_out["identity"] = (
                f"{name} has {self._tally.frame_count} frame(s), of which the first and the last are dropped"
            )
        if self._far_above:
            refused["matched"] = (
                f"labels above the {MAX_PROPOSALS} proposals allowed in {name}: {_few(self._far_above)}"
            )
        score = {"identity": self._tally.identity, "matched": self._tally.matched}
        protocols: Sequence[Protocol] = ("identity", "matched")
        return VideoOutcome(
            objects={
                protocol: score[protocol]() for protocol in protocols if protocol not in refused | left_out
            },
            refused=refused,
            left_out=left_out,
            labels=self._labels.measures(),
            missing_frames=self._missing,
            sha256=self._hash.hexdigest(),
        )


def _few(files: Sequence[str]) -> str:
    return listing(files, ", ", most=3)


def _size(label_map: NDArray[np.uint8]) -> str:
    return f"{label_map.shape[1]}x{label_map.shape[0]}"


def _update(digest: hashlib._Hash, file_name: str, data: bytes) -> None:
    """Adds a file by name and content, so that renaming or changing it changes the hash."""
    digest.update(f"{file_name} {hashlib.sha256(data).hexdigest()}\n".encode())
