"""The four measures of suspicion, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from carvid.media.rle import encode_rle
from carvid.review.suspicion import LabelledMask, Suspicion, suspicion

EMPTY = np.zeros((4, 5), np.bool_)
LEFT, RIGHT = EMPTY.copy(), EMPTY.copy()
LEFT[1:3, 0:2] = True
RIGHT[1:3, 1:3] = True


def labelled(mask: np.ndarray, score: float = 0.9, proposal_iou: float | None = 1.0) -> LabelledMask:
    return LabelledMask(score, bool(mask.any()), proposal_iou, int(mask.sum()), encode_rle(mask))


@pytest.mark.parametrize(
    ("score", "near"), [(0.3, 1.0), (0.4, 0.5), (0.2, 0.5), (0.5, 0.0), (0.9, 0.0), (0.0, 0.0)]
)
def test_a_score_near_theta(score: float, near: float) -> None:
    found = suspicion(0.3, None, labelled(LEFT, score), None)
    assert found == Suspicion(pytest.approx(near), 0, 0, 0)


@pytest.mark.parametrize(
    ("before", "this", "change"),
    [(LEFT, LEFT, 0), (LEFT, RIGHT, 0), (LEFT, EMPTY, 1), (EMPTY, LEFT, 1), (EMPTY, EMPTY, 0)],
)
def test_a_change_of_area(before: np.ndarray, this: np.ndarray, change: float) -> None:
    assert suspicion(0.3, labelled(before), labelled(this), None).area_change == change
    assert suspicion(0.3, None, labelled(this), labelled(before)).area_change == 0


def test_half_the_area_is_half_a_change() -> None:
    half = LEFT & (np.arange(5) == 0)
    assert suspicion(0.3, labelled(LEFT), labelled(half), None).area_change == 0.5


@pytest.mark.parametrize(
    ("masks", "flicker"),
    [
        ((LEFT, LEFT, LEFT), 0.0),
        # Gone, and there, for one frame.
        ((LEFT, EMPTY, LEFT), 1.0),
        ((EMPTY, LEFT, EMPTY), 1.0),
        # Elsewhere for one frame: IoU(left, right) is 2 / 6.
        ((LEFT, RIGHT, LEFT), 1 - 1 / 3),
        # Gone for good.
        ((LEFT, EMPTY, EMPTY), 0.0),
        ((LEFT, LEFT, EMPTY), 0.0),
    ],
)
def test_flicker(masks: tuple[np.ndarray, np.ndarray, np.ndarray], flicker: float) -> None:
    before, this, after = map(labelled, masks)
    assert suspicion(0.3, before, this, after).flicker == pytest.approx(flicker)


def test_frames_of_other_sizes_do_not_flicker() -> None:
    small = labelled(EMPTY[:2])
    assert suspicion(0.3, labelled(LEFT), small, labelled(LEFT)).flicker == 0


def test_disagreement_and_the_total() -> None:
    assert suspicion(0.3, None, labelled(LEFT, 0.9, 0.25), None).disagreement == 0.75
    # Of an absent query the mask is empty whatever the proposal; of two empty ones there is no IoU.
    assert suspicion(0.3, None, labelled(EMPTY, 0.1, 0.0), None).disagreement == 0
    assert suspicion(0.3, None, LabelledMask(0.9, True, None, 0, encode_rle(EMPTY)), None).disagreement == 0
    assert Suspicion(1.0, 0.5, 0.0, 0.25).total == 0.4375
