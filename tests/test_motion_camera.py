"""How far a camera's pan shifts the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from carvid.motion.camera import shift
from carvid.motion.flow import Flow, flows


def test_it_is_the_median_way_of_sure_pixels_outside_the_things() -> None:
    offsets = np.zeros((2, 3, 2), np.float32)
    offsets[..., 0] = [[4, 4, 9], [5, 90, 9]]
    confidence = np.array([[1, 1, 1], [1, 0.1, 1]], np.float32)
    things = np.array([[0, 0, 1], [0, 0, 1]], bool)
    assert shift(Flow(offsets, confidence), things).tolist() == [4, 0]
    assert shift(Flow(offsets, 0 * confidence), things).tolist() == [0, 0]


def test_a_pan_is_found_although_a_thing_goes_the_other_way() -> None:
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.integers(0, 256, (120, 220)).astype(np.uint8), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    thing = cv2.normalize(
        cv2.GaussianBlur(rng.integers(0, 256, (40, 40)).astype(np.uint8), (0, 0), 2),
        None,
        0,
        255,
        cv2.NORM_MINMAX,
    )
    before, after = scene[:, 10:210].copy(), scene[:, 14:214].copy()
    before[40:80, 60:100], after[40:80, 66:106] = thing, thing
    where = np.zeros(before.shape, bool)
    where[40:80, 60:106] = True
    assert shift(flows(before, after)[0], where) == pytest.approx([-4, 0], abs=0.3)
