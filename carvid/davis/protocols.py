"""The two protocols in use for Ref-DAVIS 2017, both computed in one pass over the frames.

*identity* (the DAVIS "semi-supervised" task): prediction k against object k; the first and the last frame are
dropped; void pixels count as background. *matched* (the "unsupervised" task): predictions are assigned to
objects so that the mean over frames of (J + F) / 2 is greatest; all frames count; void pixels are cleared in
both maps. Both take the number of objects from the first annotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from carvid.davis.labels import VOID
from carvid.measures.assignment import assign
from carvid.measures.label_maps import LabelMap, boundary_f_table, iou_table
from carvid.measures.over_frames import Statistics, statistics

Protocol = Literal["identity", "matched"]
PROTOCOLS: tuple[Protocol, ...] = ("identity", "matched")

MAX_PROPOSALS = 20
"""The highest label a prediction may have under *matched*."""

IDENTITY_MIN_FRAMES = 3
"""With fewer, no frame is left to score once the first and the last are dropped."""


@dataclass(frozen=True, eq=False)
class ObjectScore:
    """How well one object was segmented.

    object_id: the annotation's label. label: the prediction's label that was compared with it.
    j_per_frame, f_per_frame: (T,) float64 in [0, 1] over the frames the protocol scores.
    """

    object_id: int
    label: int
    j_per_frame: NDArray[np.float64]
    f_per_frame: NDArray[np.float64]
    j: Statistics
    f: Statistics

    @staticmethod
    def over(object_id: int, label: int, j: NDArray[np.float64], f: NDArray[np.float64]) -> ObjectScore:
        """The score from the values of J and F over frames."""
        j, f = np.ascontiguousarray(j), np.ascontiguousarray(f)
        return ObjectScore(object_id, label, j, f, statistics(j), statistics(f))


@dataclass(frozen=True, eq=False)
class TruthFrame:
    """One annotated frame, prepared once for all predictions compared with it.

    objects: labels 1..K; void and labels above K are background. void: (H, W) bool, None where there is none.
    """

    objects: LabelMap
    void: NDArray[np.bool_] | None

    @staticmethod
    def of(annotation: NDArray[np.uint8], object_count: int) -> TruthFrame:
        """From an annotation, (H, W) uint8, whose labels 1..`object_count` are objects."""
        void = annotation == VOID
        objects = np.where(annotation > object_count, np.uint8(0), annotation)
        return TruthFrame(LabelMap(objects, object_count), void if void.any() else None)


class VideoTally:
    """Takes one video's predictions frame by frame, in order, and scores them under both protocols.

    It keeps each frame's tables of J and F (20 x K values each, as a rule), and no image.
    """

    def __init__(self, object_count: int) -> None:
        self.object_count = object_count
        self.highest_label = 0
        self._label_count = max(MAX_PROPOSALS, object_count)
        self._identity: list[NDArray[np.float64]] = []  # (2, K): J and F, void as background
        self._matched: list[NDArray[np.float64]] = []  # (2, P, K): J and F, void cleared

    @property
    def frame_count(self) -> int:
        return len(self._matched)

    def add(self, truth: TruthFrame, prediction: NDArray[np.uint8]) -> None:
        """Compares a prediction, (H, W) uint8, label = object or proposal, with its frame's annotation."""
        self.highest_label = max(self.highest_label, int(prediction.max(initial=0)))
        objects = self.object_count
        # Neither protocol accepts such a label: the caller refuses the video, whatever its tables say.
        prediction = np.where(prediction > self._label_count, np.uint8(0), prediction)
        if truth.void is None:
            matched = _tables(LabelMap(prediction, self._label_count), truth)
            identity = matched[:, :objects]
        else:
            cleared = np.where(truth.void, np.uint8(0), prediction)
            matched = _tables(LabelMap(cleared, self._label_count), truth)
            own = np.where(prediction > objects, np.uint8(0), prediction)
            identity = _tables(LabelMap(own, objects), truth)
        self._matched.append(matched)
        self._identity.append(np.diagonal(identity, axis1=1, axis2=2))

    def identity(self) -> tuple[ObjectScore, ...]:
        """One score per object, object 1 first.

        Needs at least three frames, and no label above the object count.
        """
        assert self.frame_count >= IDENTITY_MIN_FRAMES
        assert self.highest_label <= self.object_count
        j, f = np.stack(self._identity[1:-1], axis=-1)  # (2, K, T - 2)
        return tuple(ObjectScore.over(k + 1, k + 1, j[k], f[k]) for k in range(self.object_count))

    def matched(self) -> tuple[ObjectScore, ...]:
        """One score per object, object 1 first, each with the label assigned to it.

        Needs labels of at most 20. Where there are fewer labels than objects, empty masks are added.
        """
        assert self.highest_label <= MAX_PROPOSALS
        proposals = max(self.highest_label, self.object_count)
        j, f = np.stack(self._matched, axis=-1)[:, :proposals]  # (2, P, K, T)
        labels, objects = assign(-(j.mean(axis=2) + f.mean(axis=2)) / 2)
        pairs = sorted(zip(objects.tolist(), labels.tolist(), strict=True))
        return tuple(ObjectScore.over(k + 1, p + 1, j[p, k], f[p, k]) for k, p in pairs)


def _tables(prediction: LabelMap, truth: TruthFrame) -> NDArray[np.float64]:
    """(2, P, K) float64: J and F of every label against every object."""
    return np.stack([iou_table(prediction, truth.objects), boundary_f_table(prediction, truth.objects)])
