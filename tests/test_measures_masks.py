"""J, F and their statistics against values worked out by hand."""

import numpy as np
import pytest

from carvid.measures.masks import boundary_f, boundary_map, boundary_radius_px, disk, jaccard, statistics


def mask(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


def one_pixel(row: int, column: int, size: int = 10) -> np.ndarray:
    labels = np.zeros((size, size), bool)
    labels[row, column] = True
    return labels


@pytest.mark.parametrize(
    ("height", "width", "radius_px"),
    [(480, 854, 8), (480, 1152, 10), (10, 10, 1), (75, 100, 1), (76, 100, 2)],
)
def test_radius_is_a_share_of_the_diagonal_rounded_up(height, width, radius_px):
    assert boundary_radius_px(height, width) == radius_px


def test_disk():
    assert disk(2).tolist() == [
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
    ]


@pytest.mark.parametrize(
    ("labels", "edge"),
    [
        (mask("....", ".#..", "....", "...."), mask("##..", "##..", "....", "....")),
        (mask("#...", "....", "....", "...."), mask("#...", "....", "....", "....")),
        (mask("....", "....", "....", "...#"), mask("....", "....", "..##", "..#.")),
        (mask("####", "####", "####", "####"), mask("....", "....", "....", "....")),
        (mask("....", "....", "....", "...."), mask("....", "....", "....", "....")),
        (mask("##..", "##..", "##..", "##.."), mask(".#..", ".#..", ".#..", ".#..")),
    ],
    ids=["one pixel", "upper left", "lower right", "full", "empty", "half"],
)
def test_boundary_lies_half_a_pixel_towards_the_origin(labels, edge):
    np.testing.assert_array_equal(boundary_map(labels), edge)


LEFT = mask("##..", "##..")
MIDDLE = mask(".##.", ".##.")
EMPTY = mask("....", "....")


@pytest.mark.parametrize(
    ("annotation", "prediction", "void", "j"),
    [
        (LEFT, LEFT, None, 1),
        (LEFT, MIDDLE, None, 2 / 6),
        (LEFT, EMPTY, None, 0),
        (EMPTY, LEFT, None, 0),
        (EMPTY, EMPTY, None, 1),
        (LEFT, MIDDLE, mask("..#.", "..#."), 2 / 4),
        (LEFT, MIDDLE, mask("####", "####"), 1),
        (EMPTY, LEFT, LEFT, 1),
    ],
)
def test_jaccard(annotation, prediction, void, j):
    assert jaccard(annotation, prediction, void) == j


@pytest.mark.parametrize(
    ("annotation", "prediction", "void", "f"),
    [
        (one_pixel(4, 4), one_pixel(4, 4), None, 1),
        # Boundaries {3,4} x {3,4} and {3,4} x {4,5}: every pixel has one of the other's within 1 px.
        (one_pixel(4, 4), one_pixel(4, 5), None, 1),
        # {3,4} x {3,4} and {3,4} x {5,6}: only the columns 4 and 5 are within 1 px.
        (one_pixel(4, 4), one_pixel(4, 6), None, 0.5),
        (one_pixel(4, 4), one_pixel(4, 8), None, 0),
        # One boundary pixel at the corner, four around (1, 1), all but (1, 1) within 1 px: 2 * .75 / 1.75.
        (one_pixel(0, 0), one_pixel(1, 1), None, 6 / 7),
        (one_pixel(4, 4), one_pixel(4, 4) & False, None, 0),
        (one_pixel(4, 4) & False, one_pixel(4, 4), None, 0),
        (one_pixel(4, 4) & False, one_pixel(4, 4) & False, None, 1),
        (one_pixel(4, 4) | True, one_pixel(4, 4) & False, None, 1),
        (one_pixel(4, 4) | True, one_pixel(4, 4), None, 0),
        (one_pixel(4, 4), one_pixel(4, 4) | one_pixel(8, 8), one_pixel(8, 8), 1),
        (one_pixel(4, 4), one_pixel(8, 8), one_pixel(4, 4) | one_pixel(8, 8), 1),
    ],
)
def test_boundary_f(annotation, prediction, void, f):
    assert boundary_f(annotation, prediction, void) == pytest.approx(f, abs=1e-15)


def test_statistics_of_four_frames():
    # Quarters end at frames 0, 1, 2, 2, 3, so the first is frames 0-1 and the last frames 2-3.
    found = statistics(np.array([1.0, 0.8, 0.5, 0.1]))
    assert (found.mean, found.recall, found.decay) == pytest.approx((0.6, 0.5, 0.9 - 0.3))


def test_statistics_of_one_frame():
    found = statistics(np.array([0.7]))
    assert (found.mean, found.recall, found.decay) == (0.7, 1.0, 0.0)


def test_decay_does_not_wrap_past_256_frames():
    # linspace(1, 300, 5) rounds to 1, 76, 151, 225, 300: frames 0-75 against 224-299.
    assert statistics(np.arange(300.0)).decay == 37.5 - 261.5


def test_recall_is_strictly_above_one_half():
    assert statistics(np.array([0.5, 0.5, 0.51, 0.0])).recall == 0.25


def test_nan_frames_are_left_out_of_the_mean():
    found = statistics(np.array([np.nan, 1.0, 0.5]))
    assert (found.mean, found.recall) == (0.75, 1 / 3)
