from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from carvid.sam.grid import Crop, crops, grow, layer_grids, point_grid, points_in


def test_points_are_the_cells_middles_row_by_row() -> None:
    np.testing.assert_allclose(point_grid(2), [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
    np.testing.assert_allclose(point_grid(1), [[0.5, 0.5]])


def test_deeper_layers_have_fewer_points_until_none_is_left() -> None:
    assert [len(grid) for grid in layer_grids(4, 3, 2)] == [16, 4, 1, 0]
    assert [len(grid) for grid in layer_grids(3, 2, 1)] == [9, 9, 9]


def test_crops_of_one_layer() -> None:
    # 512 / 1500 of 150 px is an overlap of 51; a crop is then (51 + 300) / 2 by (51 + 150) / 2, rounded up.
    assert crops(150, 300, 1, 512 / 1500) == [
        Crop(0, 0, 300, 150, 0),
        Crop(0, 0, 176, 101, 1),
        Crop(0, 50, 176, 150, 1),
        Crop(125, 0, 300, 101, 1),
        Crop(125, 50, 300, 150, 1),
    ]


@given(st.integers(8, 200), st.integers(8, 200), st.integers(0, 2), st.floats(0, 0.9))
def test_crops_lie_in_the_frame_and_cover_it_layer_by_layer(
    height: int, width: int, layers: int, overlap: float
) -> None:
    found = crops(height, width, layers, overlap)
    if min(height, width) >= 16:
        assert len(found) == sum(4**layer for layer in range(layers + 1))
    for layer in range(layers + 1):
        covered = np.zeros((height, width), bool)
        for crop in found:
            if crop.layer == layer:
                assert 0 <= crop.x0 < crop.x1 <= width
                assert 0 <= crop.y0 < crop.y1 <= height
                covered[crop.y0 : crop.y1, crop.x0 : crop.x1] = True
        assert covered.all()


def test_a_mask_grows_by_the_margin_to_every_side() -> None:
    mask = torch.zeros((5, 6), dtype=torch.bool)
    mask[0, 1] = True
    assert grow(mask, 1).int().tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert torch.equal(grow(mask, 0), mask)
    assert bool(grow(mask, 9).all())
    assert not bool(grow(torch.zeros_like(mask), 9).any())


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(0, 2**31))
def test_growth_is_that_of_brute_force(height: int, width: int, margin: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.1
    expected = np.zeros_like(mask)
    for y, x in zip(*np.nonzero(mask), strict=True):
        expected[max(0, y - margin) : y + margin + 1, max(0, x - margin) : x + margin + 1] = True
    np.testing.assert_array_equal(grow(torch.from_numpy(mask), margin).numpy(), expected)


def test_a_point_lies_in_the_pixel_it_falls_into() -> None:
    region = np.array([[True, False], [False, True]])
    points = np.array([[0.0, 0.0], [0.99, 0.5], [1.0, 0.5], [1.5, 1.5], [2.0, 2.0]])
    assert points_in(points, region).tolist() == [True, True, False, True, True]
