"""HOTA and IDF1 of instance masks: are the objects found, and does each keep one label through the video?

HOTA: J. Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-object Tracking", IJCV 2020. IDF1: E. Ristani
et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", ECCV Workshops 2016. Which
detections are paired in a frame, what counts where there is nothing to count, and how videos are combined is as in
TrackEval, the code of the first paper's authors.

A *track* is what has one label through a video, a *detection* its mask in one frame. The frames are compared one by one
(`overlaps`), which leaves a table of IoU and no mask; a whole video's tables give its counts (`track_counts`), as the
assignment in a frame depends on all frames; counts add up over videos and give the figures (`track_score`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carvid.measures.assignment import assign
from carvid.measures.label_maps import LabelMap, iou_table, labels_in

ALPHAS = np.arange(1, 20) / 20
"""The IoU from which on two detections match, for HOTA: .05, .10, ... .95; the figures are means over them."""

ID_IOU = 0.5
"""The IoU from which on two detections match, for IDF1."""


@dataclass(frozen=True, eq=False)
class Overlaps:
    """The detections of one frame, and how they overlap.

    true, found: (G,) and (P,) intp, the labels in the ground truth and in the prediction, ascending.
    iou: (G, P) float64 in [0, 1].
    """

    true: NDArray[np.intp]
    found: NDArray[np.intp]
    iou: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrackCounts:
    """What HOTA and IDF1 are computed from; that of several videos is their sum.

    hits, misses, false_alarms: (19,) float64, by alpha: pairs of detections that match, and detections of the ground
      truth and of the prediction without a match.
    association: (19,) float64: the sum over the hits of A(c), the share of the frames of either track of the hit in
      which the two match.
    overlap: (19,) float64: the sum over the hits of their IoU.
    id_hits, id_misses, id_false_alarms: IDTP, IDFN and IDFP, in detections.
    """

    hits: NDArray[np.float64]
    misses: NDArray[np.float64]
    false_alarms: NDArray[np.float64]
    association: NDArray[np.float64]
    overlap: NDArray[np.float64]
    id_hits: int
    id_misses: int
    id_false_alarms: int

    def __add__(self, other: TrackCounts) -> TrackCounts:
        return TrackCounts(
            self.hits + other.hits,
            self.misses + other.misses,
            self.false_alarms + other.false_alarms,
            self.association + other.association,
            self.overlap + other.overlap,
            self.id_hits + other.id_hits,
            self.id_misses + other.id_misses,
            self.id_false_alarms + other.id_false_alarms,
        )


@dataclass(frozen=True)
class TrackScore:
    """The figures, each in [0, 1]; the first four are means over `ALPHAS`.

    hota: the geometric mean of det_a and ass_a at each alpha.
    det_a: detections that match, of all detections (the IoU of the two sets of detections).
    ass_a: the mean over matches of A(c); 0 where nothing matches.
    loc_a: the mean IoU of what matches; 1 where nothing matches, as in TrackEval.
    idf1, id_precision, id_recall: F1 (IDF1), precision (IDP) and recall (IDR) of detections when each track of the
      prediction stands for at most one of the ground truth; 0 where there are no detections.
    """

    hota: float
    det_a: float
    ass_a: float
    loc_a: float
    idf1: float
    id_precision: float
    id_recall: float


def overlaps(
    truth: NDArray[np.uint8], prediction: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
) -> Overlaps:
    """How the detections of one frame overlap, from two label maps, (H, W) uint8 each, 0 background.

    Pixels of `ignored` (H, W) bool are background in both; a detection that lies wholly there does not count.
    """
    if ignored is not None:
        truth, prediction = (np.where(ignored, np.uint8(0), labels) for labels in (truth, prediction))
    true, found = labels_in(truth), labels_in(prediction)
    table = iou_table(
        LabelMap(truth, int(true.max(initial=0))), LabelMap(prediction, int(found.max(initial=0)))
    )
    return Overlaps(true, found, table[np.ix_(true - 1, found - 1)])


def track_counts(frames: Sequence[Overlaps]) -> TrackCounts:
    """The counts of one video from all its frames, in any order."""
    # Indexed by label; row and column 0 stay 0.
    size = (
        1 + max((int(frame.true.max(initial=0)) for frame in frames), default=0),
        1 + max((int(frame.found.max(initial=0)) for frame in frames), default=0),
    )
    true_frames, found_frames = np.zeros((size[0], 1)), np.zeros((1, size[1]))
    together, id_matches = np.zeros(size), np.zeros(size)
    for frame in frames:
        true_frames[frame.true] += 1
        found_frames[0, frame.found] += 1
        pairs = np.ix_(frame.true, frame.found)
        together[pairs] += _shares(frame.iou)
        id_matches[pairs] += frame.iou >= ID_IOU

    # How well two tracks agree over the whole video decides, with their IoU in a frame, which detections are paired in
    # it: one pairing for all alphas.
    alignment = together / np.maximum(1, true_frames + found_frames - together)
    matches = np.zeros((len(ALPHAS), *size))
    overlap = np.zeros(len(ALPHAS))
    for frame in frames:
        rows, columns = assign(-alignment[np.ix_(frame.true, frame.found)] * frame.iou)
        iou = frame.iou[rows, columns]
        # No tolerance: an IoU is a fraction of whole numbers, and alpha = k / 20 is the same float as that fraction.
        hit = iou >= ALPHAS[:, None]  # (19, pairs)
        matches[:, frame.true[rows], frame.found[columns]] += hit
        overlap += hit @ iou

    hits = matches.sum(axis=(1, 2))
    associated = matches / np.maximum(1, true_frames + found_frames - matches)
    id_hits = id_matches[assign(-id_matches)].sum()
    return TrackCounts(
        hits=hits,
        misses=true_frames.sum() - hits,
        false_alarms=found_frames.sum() - hits,
        association=(matches * associated).sum(axis=(1, 2)),
        overlap=overlap,
        id_hits=int(id_hits),
        id_misses=int(true_frames.sum() - id_hits),
        id_false_alarms=int(found_frames.sum() - id_hits),
    )


def track_score(counts: TrackCounts) -> TrackScore:
    """The figures of a video, or of the videos whose counts were added."""
    hits = np.maximum(1, counts.hits)
    det_a = counts.hits / np.maximum(1, counts.hits + counts.misses + counts.false_alarms)
    ass_a = counts.association / hits
    loc_a = np.where(counts.hits > 0, counts.overlap / hits, 1.0)
    true, found = counts.id_hits + counts.id_misses, counts.id_hits + counts.id_false_alarms
    return TrackScore(
        hota=float(np.sqrt(det_a * ass_a).mean()),
        det_a=float(det_a.mean()),
        ass_a=float(ass_a.mean()),
        loc_a=float(loc_a.mean()),
        idf1=counts.id_hits / max(1.0, (true + found) / 2),
        id_precision=counts.id_hits / max(1, found),
        id_recall=counts.id_hits / max(1, true),
    )


def _shares(iou: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, P): each IoU as a share of all the overlap that its two detections have with others."""
    either = iou.sum(0)[None, :] + iou.sum(1)[:, None] - iou
    shares: NDArray[np.float64] = np.divide(iou, either, out=np.zeros_like(iou), where=either > 0)
    return shares
