"""How far a camera's pan shifts the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from carvid.motion.camera import after, camera_step, inverse
from carvid.motion.flow import Flow, flows


def test_it_is_the_median_way_of_sure_pixels_outside_the_things() -> None:
    # All go 4 px to the right, but a thing (9) and a pixel whose flow is not sure (90).
    offsets = np.zeros((2, 4, 2), np.float32)
    offsets[..., 0] = [[4, 4, 9, 4], [4, 90, 9, 4]]
    confidence = np.array([[1, 1, 1, 1], [1, 0.1, 1, 1]], np.float32)
    things = np.array([[0, 0, 1, 0], [0, 0, 1, 0]], bool)
    assert camera_step(Flow(offsets, confidence), things).tolist() == [4, 0, 1]
    assert camera_step(Flow(offsets, 0 * confidence), things).tolist() == [0, 0, 1]


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
    before, shown = scene[:, 10:210].copy(), scene[:, 14:214].copy()
    before[40:80, 60:100], shown[40:80, 66:106] = thing, thing
    where = np.zeros(before.shape, bool)
    where[40:80, 60:106] = True
    found = camera_step(flows(before, shown)[0], where)
    assert found[:2] == pytest.approx([-4, 0], abs=0.3)
    assert found[2] == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize("zoom", [0.97, 1.02])
def test_a_zoom_is_found_and_tells_where_things_go(zoom: float) -> None:
    rng = np.random.default_rng(1)
    scene = cv2.GaussianBlur(rng.integers(0, 256, (160, 240)).astype(np.uint8), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    # Around the middle, (120, 80).
    matrix = np.array([[zoom, 0, 120 * (1 - zoom) + 1], [0, zoom, 80 * (1 - zoom)]])
    later = cv2.warpAffine(scene, matrix, (240, 160), borderMode=cv2.BORDER_REFLECT)
    found = camera_step(flows(scene, later)[0], np.zeros(scene.shape, bool))
    assert found[2] == pytest.approx(zoom, abs=0.003)
    for point in ([60, 40], [180, 120]):
        expected = matrix @ [*point, 1]
        assert found[2] * np.array(point) + found[:2] == pytest.approx(expected, abs=0.5)
    back = camera_step(flows(scene, later)[1], np.zeros(scene.shape, bool))
    assert inverse(back) == pytest.approx(found, abs=0.5)


def test_steps_follow_each_other_and_are_undone() -> None:
    first, second = np.array([3.0, -1.0, 2.0]), np.array([1.0, 5.0, 0.5])
    # A point at (10, 10) goes to (23, 19), and then to (12.5, 14.5).
    both = after(first, second)
    assert (both[2] * 10 + both[:2]).tolist() == [12.5, 14.5]
    assert after(first, inverse(first)) == pytest.approx([0, 0, 1])
