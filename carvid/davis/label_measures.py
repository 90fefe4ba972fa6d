"""What is measured of a prediction's labels through a video beside J and F, each where it is asked for.

Temporal consistency needs the frames and no annotation; HOTA and IDF1 take labels and objects as tracks. Neither knows
protocols: all frames count, the objects are those of J and F, and void pixels are background in both maps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from carvid.davis.protocols import TruthFrame
from carvid.measures.consistency import ConsistencyTally
from carvid.measures.tracking import Overlaps, TrackCounts, overlaps, track_counts, track_score
from carvid.motion.flow import Flow

CONSISTENCY_COLUMN = "consistency"
TRACK_COLUMNS = ("HOTA", "DetA", "AssA", "LocA", "IDF1", "IDP", "IDR")


@dataclass(frozen=True, eq=False)
class LabelMeasures:
    """One video of one prediction set.

    consistency: by label, in [0, 1]; None where it is not asked for. See `carvid.measures.consistency`.
    tracks: what HOTA and IDF1 are computed from; None where they are not asked for.
    """

    consistency: Mapping[int, float] | None = None
    tracks: TrackCounts | None = None


class LabelTally:
    """Takes one video's predictions frame by frame, in order. It keeps tables, and one label map."""

    def __init__(self, *, consistency: bool, tracks: bool) -> None:
        self._consistency = ConsistencyTally() if consistency else None
        self._overlaps: list[Overlaps] | None = [] if tracks else None

    def add(self, truth: TruthFrame, prediction: NDArray[np.uint8], back: Flow | None) -> None:
        """prediction: (H, W) uint8. back: the flow to the frame before; None at the first, or if not needed."""
        if self._consistency is not None:
            self._consistency.add(prediction, back)
        if self._overlaps is not None:
            self._overlaps.append(overlaps(truth.objects.labels, prediction, truth.void))

    def measures(self) -> LabelMeasures:
        """Over the frames so far."""
        return LabelMeasures(
            consistency=None if self._consistency is None else self._consistency.means(),
            tracks=None if self._overlaps is None else track_counts(self._overlaps),
        )


def columns_of(videos: Sequence[LabelMeasures]) -> dict[str, float | None]:
    """The figures of one or more videos, in the order of the columns; only those asked for.

    Consistency is the mean over all labels of all videos, None where no label has one. HOTA and IDF1 are those of
    the added counts, so that a detection weighs the same in every video.
    """
    found: dict[str, float | None] = {}
    by_video = [video.consistency for video in videos if video.consistency is not None]
    if by_video:
        values = [value for by_label in by_video for value in by_label.values()]
        found[CONSISTENCY_COLUMN] = float(np.mean(values)) if values else None
    counts = [video.tracks for video in videos if video.tracks is not None]
    if counts:
        score = track_score(reduce(add, counts))
        found.update(
            zip(
                TRACK_COLUMNS,
                (
                    score.hota,
                    score.det_a,
                    score.ass_a,
                    score.loc_a,
                    score.idf1,
                    score.id_precision,
                    score.id_recall,
                ),
                strict=True,
            )
        )
    return found


def mean_columns(sets: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The mean over expression sets of each column; None where a set has none."""
    found: dict[str, float | None] = {}
    for name in sets[0]:
        values = [value for value in (one[name] for one in sets) if value is not None]
        found[name] = float(np.mean(values)) if len(values) == len(sets) else None
    return found


def explanations(columns: Collection[str]) -> list[str]:
    """A sentence or two for the reader about each measure among the columns."""
    found = []
    if CONSISTENCY_COLUMN in columns:
        found.append(
            "consistency: the IoU of each mask with that of the frame before, warped by optical flow, where the "
            "flow is confident; the mean over the labels of the prediction. It is of the prediction alone: masks "
            "that are wrong alike in all frames are consistent."
        )
    if TRACK_COLUMNS[0] in columns:
        found.append(
            "HOTA, DetA, AssA and LocA (means over IoU .05 to .95), IDF1, IDP and IDR (at IoU .5): labels and "
            "objects as tracks, over all frames, without void pixels."
        )
    return found
