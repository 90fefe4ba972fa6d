"""How suspicious one object's mask in one frame is: four measures in [0, 1] and their mean."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from carvid.media.rle import Rle, iou_of_rles

NEAR_BAND = 0.2
"""From this distance to theta on, a score is not near it at all."""


@dataclass(frozen=True, eq=False)
class LabelledMask:
    """What the dataset says of one object in one frame.

    score, proposal_iou: None where the mask was corrected by hand, or stands for a track that is not in the frame.
    rle: the mask, as a sound run-length code.
    """

    score: float | None
    present: bool
    proposal_iou: float | None
    area_px: int
    rle: Rle


@dataclass(frozen=True)
class Suspicion:
    """Each in [0, 1]; 0 also where a frame that it needs is missing.

    near_theta: 1 - |score - theta| / 0.2, at least 0: a small change would turn present into absent, or
        the reverse. 0 without a score.
    area_change: 1 - min(a, b) / max(a, b), for the areas a and b of this frame and the one before; 0 where
        both are empty, 1 where one is.
    flicker: how much better the frames before and after agree with each other than with this one:
        IoU(before, after) - (IoU(before, this) + IoU(this, after)) / 2, at least 0. 0 where sizes differ.
    disagreement: 1 - IoU of the proposal, cut at eta, with the mask; 0 where the object is absent, since its
        mask is then empty whatever the proposal, and for a correction.
    """

    near_theta: float
    area_change: float
    flicker: float
    disagreement: float

    @property
    def total(self) -> float:
        """The mean of the four, in [0, 1]."""
        values = astuple(self)
        return float(sum(values) / len(values))


def suspicion(
    theta: float, before: LabelledMask | None, this: LabelledMask, after: LabelledMask | None
) -> Suspicion:
    """How suspicious `this` is; before, after: the same object in the labelled frames next to it, if any."""
    return Suspicion(
        near_theta=0.0 if this.score is None else max(0.0, 1 - abs(this.score - theta) / NEAR_BAND),
        area_change=0.0 if before is None else _area_change(before.area_px, this.area_px),
        flicker=0.0 if before is None or after is None else _flicker(before, this, after),
        disagreement=1 - this.proposal_iou if this.present and this.proposal_iou is not None else 0.0,
    )


def _area_change(first_px: int, second_px: int) -> float:
    larger = max(first_px, second_px)
    return 1 - min(first_px, second_px) / larger if larger else 0.0


def _flicker(before: LabelledMask, this: LabelledMask, after: LabelledMask) -> float:
    # Of many tracks most are in none of three frames.
    if not before.area_px and not this.area_px and not after.area_px:
        return 0.0
    first, middle, last = before.rle, this.rle, after.rle
    if len({tuple(code["size"]) for code in (first, middle, last)}) > 1:
        return 0.0
    return max(0.0, iou_of_rles(first, last) - (iou_of_rles(first, middle) + iou_of_rles(middle, last)) / 2)
