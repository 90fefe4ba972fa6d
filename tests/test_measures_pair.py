"""IoU and boundary F against values worked out by hand."""

import numpy as np
import pytest

from carvid.measures.pair import boundary_f, boundary_map, boundary_radius_px, disk, iou


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
    ("annotation", "prediction", "void", "expected"),
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
def test_iou(annotation, prediction, void, expected):
    assert iou(annotation, prediction, void) == expected


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
