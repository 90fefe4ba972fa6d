"""Connected components on a device against OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from carvid.car.affinity import boxes_on_host
from carvid.car.components import component_boxes, components


def grid(*rows: str) -> torch.Tensor:
    return torch.tensor([[character == "x" for character in row] for row in rows])[None]


def spiral(side: int) -> np.ndarray:
    """A path of one pixel's width that winds inwards: one component, as long as can be."""
    path = np.zeros((side, side), bool)
    y, x, dy, dx = 0, 0, 0, 1
    path[0, 0] = True
    for steps in [side - 1, *(length for length in range(side - 1, 1, -2) for _ in (0, 1))]:
        for _ in range(steps):
            y, x = y + dy, x + dx
            path[y, x] = True
        dy, dx = dx, -dy
    return path


def test_boxes_of_parts_that_touch_by_a_corner_and_parts_that_do_not() -> None:
    maps = grid("x....x", ".x....", "......", "...xx.")
    expected = grid("xx...x", "xx....", "......", "...xx.")
    assert torch.equal(component_boxes(maps), expected)
    assert torch.equal(boxes_on_host(maps), expected)


def test_a_box_may_cover_another_part() -> None:
    maps = grid("xxxxx", "x....", "x.x..", "x....", "xxxxx")
    assert component_boxes(maps).all()
    assert len(components(maps)[maps.flatten(1)].unique()) == 2


def test_a_winding_path_is_one_component() -> None:
    path = spiral(41)
    assert cv2.connectedComponents(path.astype(np.uint8))[0] == 2
    found = components(torch.from_numpy(path)[None])[0]
    assert found[torch.from_numpy(path).flatten()].unique().tolist() == [0]
    assert (found[~torch.from_numpy(path).flatten()] == 41 * 41).all()


@given(
    st.integers(0, 2**31), st.integers(1, 3), st.integers(1, 25), st.integers(1, 25), st.floats(0.05, 0.95)
)
def test_components_and_boxes_are_opencvs(
    seed: int, count: int, rows: int, columns: int, filled: float
) -> None:
    maps = np.random.default_rng(seed).random((count, rows, columns)) < filled
    assert torch.equal(component_boxes(torch.from_numpy(maps)), boxes_on_host(torch.from_numpy(maps)))
    found = components(torch.from_numpy(maps)).numpy().reshape(maps.shape)
    for one, ours in zip(maps, found, strict=True):
        parts, theirs = cv2.connectedComponents(one.astype(np.uint8), connectivity=8)
        pairs = set(zip(ours[one].tolist(), theirs[one].tolist(), strict=True))
        assert len(pairs) == len({name for name, _ in pairs}) == parts - 1
