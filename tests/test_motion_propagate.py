"""Masks carried between key frames, beside a twin that does it pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from carvid.errors import UsageError
from carvid.measures.pair import iou
from carvid.motion.edges import refine
from carvid.motion.flow import Flow
from carvid.motion.propagate import Carried, at_key, carry, fuse, propagate
from tests.motion_cases import drifting


def shifted(height: int, width: int, x_px: float, confidence: float) -> Flow:
    offsets = np.zeros((height, width, 2), np.float32)
    offsets[..., 0] = x_px
    return Flow(offsets, np.full((height, width), confidence, np.float32))


def test_a_mask_moves_with_the_picture_and_its_confidence_is_multiplied_along_the_way() -> None:
    masks = np.array([[[0, 1, 1, 0, 0]], [[0, 0, 0, 0, 0]]], np.float32)
    back = shifted(1, 5, -1, 0.5)
    once = carry(at_key(masks), back)
    twice = carry(once, back)
    assert twice.masks.tolist() == [[[0, 0, 0, 1, 1]], [[0, 0, 0, 0, 0]]]
    assert twice.confidence.tolist() == [[0.25] * 5]
    # The second mask is not there: it is sure of nothing.
    assert once.trust.tolist() == [0.5, 0]
    assert twice.trust.tolist() == [0.25, 0]


def test_a_mask_that_one_frame_does_not_show_is_trusted_no_more() -> None:
    masks = np.array([[[0, 1, 1, 0, 0]]], np.float32)
    once = carry(at_key(masks), shifted(1, 5, -1, 0.35))
    assert once.trust.tolist() == pytest.approx([0.005])
    assert carry(once, shifted(1, 5, -1, 1.0)).trust.tolist() == pytest.approx([0.005])


def test_both_sides_are_averaged_by_confidence_and_nearness() -> None:
    def side(value: float, confidence: float) -> Carried:
        return Carried(
            np.array([[[value]]], np.float32), np.array([[confidence]], np.float32), np.ones(1, np.float32)
        )

    both = fuse(side(1, 0.5), side(0, 0.25), 0.25)
    # (1 - 0.25) * 0.5 against 0.25 * 0.25: 0.375 / 0.4375.
    assert both.masks[0, 0, 0] == pytest.approx(0.375 / 0.4375)
    assert both.confidence.tolist() == [[0.5]]


def test_a_mask_that_one_key_lacks_is_carried_from_the_other_while_that_is_sure() -> None:
    def side(masks: list[float], trust: list[float]) -> Carried:
        return Carried(
            np.array(masks, np.float32)[:, None, None],
            np.full((1, 1), 0.7, np.float32),
            np.array(trust, np.float32),
        )

    both = fuse(side([0, 0.9, 0], [0, 0.24, 0]), side([0.8, 0, 0], [0.26, 0, 0]), 0.5)
    assert both.masks.ravel().tolist() == pytest.approx([0.8, 0, 0])
    assert both.trust.tolist() == pytest.approx([0.26, 0, 0])


def naive(images, keys):
    """One pixel and one frame at a time, from the nearest keys on both sides; both must be there."""
    from carvid.motion.flow import flows, grey, warp

    first, last = sorted(keys)
    found = {}
    for i in range(first + 1, last):
        sides = []
        for key, step in ((first, 1), (last, -1)):
            mask, sure = keys[key][0], np.ones(images[0].shape[:2], np.float32)
            for j in range(key + step, i + step, step):
                flow = flows(grey(images[j]), grey(images[j - step]))[0]
                mask = warp(mask, flow.offsets)
                sure = np.maximum(0.005, flow.confidence) * warp(sure, flow.offsets)
            sides.append((mask, sure))
        share = (i - first) / (last - first)
        (past, sure_past), (future, sure_future) = sides
        fused = np.zeros_like(past)
        for y, x in np.ndindex(*past.shape):
            a, b = sure_past[y, x] * (1 - share), sure_future[y, x] * share
            fused[y, x] = (a * past[y, x] + b * future[y, x]) / (a + b)
        found[i] = refine(images[i], fused[None], np.maximum(sure_past, sure_future))[0]
    return found


def test_propagate_is_its_twin() -> None:
    images, masks = drifting(5)
    keys = {0: masks[0].astype(np.float32), 4: masks[4].astype(np.float32)}
    found = propagate(images, keys)
    assert [one.shape for one in found] == [(1, 96, 144)] * 5
    for i, expected in naive(images, keys).items():
        # OpenCV may divide a picture among threads at other places from one call to the next.
        assert np.abs(found[i][0] - expected).max() < 1e-4
        assert iou(found[i][0] > 0.5, masks[i][0]) > 0.95
    assert np.array_equal(found[4], keys[4])


def test_frames_outside_the_keys_come_from_the_nearest_one() -> None:
    images, masks = drifting(6)
    found = propagate(images, {2: masks[2].astype(np.float32)})
    for i in range(6):
        assert iou(found[i][0] > 0.5, masks[i][0]) > 0.8


def test_keys_that_do_not_fit_are_refused() -> None:
    images, masks = drifting(3)
    key = masks[0].astype(np.float32)
    with pytest.raises(UsageError, match="no key frame"):
        propagate(images, {})
    with pytest.raises(UsageError, match="key frame 7 is none of the 3 images"):
        propagate(images, {7: key})
    with pytest.raises(UsageError, match=r"expected \(N, H, W\) of one size"):
        propagate(images, {0: key[:, :-1]})
    with pytest.raises(UsageError, match=r"expected \(N, H, W\) of one size"):
        propagate(images, {0: key, 2: np.concatenate([key, key])})


def test_refining_moves_only_what_is_not_sure() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    mask = np.zeros((1, 40, 40), np.float32)
    mask[:, 4:36, 17:36] = 1
    sure = refine(image, mask, np.ones((40, 40), np.float32))
    assert np.array_equal(sure, mask)
    unsure = refine(image, mask, np.zeros((40, 40), np.float32))
    # Three pixels too far over the edge; they go back to it.
    assert (unsure[0, 10:30, 12:20] < 0.5).all()
    assert (unsure[0, 10:30, 20:30] > 0.5).all()
    assert unsure.min() >= 0
    assert unsure.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (3, 2)])
def test_refining_takes_the_smallest_pictures(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 90, np.uint8)
    masks = np.ones((2, *size), np.float32)
    masks[1] = 0
    refined = refine(image, masks, np.zeros(size, np.float32))
    assert np.allclose(refined, masks, atol=1e-4)
