"""Temporal consistency on drawn masks with given flow, against a loop over pixels, and on a moving picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.measures.consistency import ConsistencyTally, consistency, trusted
from carvid.motion.flow import Flow, flows
from tests.davis_cases import draw


def moved_by(right: float, down: float, shape: tuple[int, int], sure: np.ndarray | None = None) -> Flow:
    """The flow back to the frame before, when the picture has moved by so much since."""
    offsets = np.broadcast_to(np.array([-right, -down], np.float32), (*shape, 2)).copy()
    confidence = np.ones(shape, np.float32) if sure is None else sure.astype(np.float32)
    return Flow(offsets, confidence)


BEFORE = draw(
    "........",
    ".11.....",
    ".11.....",
    "......22",
)
RIGHT = draw(
    "........",
    "...11...",
    "...11...",
    "......22",
)
NOTHING = np.zeros_like(BEFORE)
STILL = moved_by(0, 0, BEFORE.shape)


def test_a_mask_that_moves_as_the_picture_does_has_1() -> None:
    found = consistency(BEFORE * (BEFORE == 1), RIGHT * (RIGHT == 1), moved_by(2, 0, BEFORE.shape))
    assert found == {1: 1}


def test_a_mask_that_moves_while_the_picture_stands_still_has_0() -> None:
    assert consistency(BEFORE, RIGHT, STILL) == {1: 0, 2: 1}


def test_a_mask_that_loses_a_pixel_by_hand() -> None:
    now = draw(
        "........",
        ".1......",
        ".11.....",
        "......22",
    )
    assert consistency(BEFORE, now, STILL) == {1: 3 / 4, 2: 1}


def test_half_a_pixel_covered_is_in_the_warped_mask() -> None:
    before, wider = draw(".11..."), draw(".111..")
    assert consistency(before, wider, moved_by(0.5, 0, (1, 6))) == {1: 1}
    assert consistency(before, before, moved_by(0.4, 0, (1, 6))) == {1: 1}


def test_a_pixel_is_trusted_above_one_half_and_where_it_comes_from_the_picture() -> None:
    sure = np.array([[0.5, 0.51, 1, 1, 0, 1]])
    assert trusted(moved_by(0, 0, (1, 6), sure)).tolist() == [[False, True, True, True, False, True]]
    # Two pixels in from the left come from outside.
    assert trusted(moved_by(2, 0, (1, 6))).tolist() == [[False, False, True, True, True, True]]
    assert trusted(moved_by(0, -1, (3, 1))).tolist() == [[True], [True], [False]]
    assert trusted(moved_by(0.5, 0, (1, 3))).all()
    assert trusted(moved_by(0.6, 0, (1, 3))).tolist() == [[False, True, True]]


def test_only_trusted_pixels_count() -> None:
    sure = draw(
        "11111111",
        "10111111",
        "10111111",
        "11111111",
    )
    now = draw(
        "........",
        "..1.....",
        "..1.....",
        "........",
    )
    assert consistency(BEFORE, now, moved_by(0, 0, BEFORE.shape, sure)) == {1: 1, 2: 0}


def test_an_object_without_a_mask_on_trusted_pixels_is_left_out() -> None:
    assert consistency(NOTHING, NOTHING, STILL) == {}
    assert consistency(BEFORE, BEFORE, moved_by(0, 0, BEFORE.shape, BEFORE != 1)) == {2: 1}


def test_an_object_in_one_of_two_frames_has_0() -> None:
    assert consistency(BEFORE, NOTHING, STILL) == {1: 0, 2: 0}
    assert consistency(NOTHING, BEFORE, STILL) == {1: 0, 2: 0}


def test_the_mean_is_over_the_pairs_that_count() -> None:
    tally = ConsistencyTally()
    tally.add(BEFORE, None)
    assert tally.means() == {}
    # Object 1: 1, then gone, then in neither frame; object 2: 1, gone, left out, back.
    tally.add(BEFORE, STILL)
    tally.add(NOTHING, STILL)
    tally.add(NOTHING, STILL)
    tally.add(BEFORE * (BEFORE == 2), STILL)
    assert tally.means() == {1: 1 / 2, 2: 1 / 3}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(-2, 2), st.integers(-2, 2))
def test_it_is_the_loop_over_pixels(seed: int, right: int, down: int) -> None:
    random = np.random.default_rng(seed)
    before, now = random.integers(0, 3, (2, 4, 5)).astype(np.uint8)
    sure = random.random((4, 5))
    expected = {}
    for label in (1, 2):
        shared = either = 0
        for y in range(4):
            for x in range(5):
                from_y, from_x = y - down, x - right
                if sure[y, x] > 0.5 and 0 <= from_y < 4 and 0 <= from_x < 5:
                    pair = (before[from_y, from_x] == label, now[y, x] == label)
                    shared += all(pair)
                    either += any(pair)
        if either:
            expected[label] = shared / either
    assert consistency(before, now, moved_by(right, down, (4, 5), sure)) == pytest.approx(expected)


def test_masks_that_follow_a_moving_picture_are_more_consistent_than_masks_that_flicker() -> None:
    random = np.random.default_rng(0)
    world = cv2.GaussianBlur(random.integers(0, 256, (120, 200), np.uint8), (0, 0), 2)
    world = cv2.normalize(world, None, 0, 255, cv2.NORM_MINMAX)
    y, x = np.mgrid[:120, :200]
    disk = ((y - 60) ** 2 + (x - 100) ** 2 <= 20**2).astype(np.uint8)
    follows, flickers = ConsistencyTally(), ConsistencyTally()
    before = None
    for t in range(5):
        # A camera that pans by 3 px a frame.
        seen = slice(3 * t, 3 * t + 160)
        picture, mask = np.ascontiguousarray(world[:, seen]), np.ascontiguousarray(disk[:, seen])
        back = None if before is None else flows(picture, before)[0]
        follows.add(mask, back)
        flickers.add(mask if t % 2 else cv2.erode(mask, np.ones((7, 7), np.uint8)), back)
        before = picture
    assert follows.means()[1] > 0.97
    # A disk of radius 17 in one of 20.
    assert flickers.means()[1] == pytest.approx((17 / 20) ** 2, abs=0.08)
