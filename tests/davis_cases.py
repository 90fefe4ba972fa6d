"""Videos drawn for the DAVIS evaluator, each small enough to check by eye, with the official figures for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Figures = Sequence[Sequence[float]]
"""Per object: mean, recall and decay of J, then those of F."""


@dataclass(frozen=True)
class Case:
    """A video and its figures under both protocols.

    identity: object 1 first; None where the official evaluator gives up. matched: in the order of the labels
    assigned to the objects, as the official evaluator lists them.
    """

    annotations: Sequence[NDArray[np.uint8]]
    predictions: Sequence[NDArray[np.uint8]]
    identity: Figures | None
    matched: Figures


def draw(*rows: str) -> NDArray[np.uint8]:
    """(H, W) uint8: a dot is background, a digit its label, a question mark void."""
    label = {".": 0, "?": 255}
    return np.array([[label[cell] if cell in label else int(cell) for cell in row] for row in rows], np.uint8)


def blob(row: float, column: float, radius: float) -> NDArray[np.uint8]:
    """A disk of label 1 on 64 x 112 pixels, where boundaries may lie 2 px apart."""
    y, x = np.ogrid[:64, :112]
    return ((y - row) ** 2 + (x - column) ** 2 <= radius**2).astype(np.uint8)


def bar(length: int) -> NDArray[np.uint8]:
    """The first pixels of the middle row of 3 x 22."""
    labels = np.zeros((3, 22), np.uint8)
    labels[1, :length] = 1
    return labels


NOTHING = draw(
    "..........",
    "..........",
    "..........",
    "..........",
    "..........",
    "..........",
)
ONE = draw(
    "..........",
    ".111......",
    ".111......",
    ".111......",
    "..........",
    "..........",
)
BOTH = draw(
    "..........",
    ".111......",
    ".111..22..",
    ".111..22..",
    "......22..",
    "..........",
)
SHIFTED = draw(
    "..........",
    "...111....",
    "...111.22.",
    "...111.22.",
    ".......22.",
    "..........",
)
SWAPPED = draw(
    "..........",
    ".222......",
    ".222..11..",
    ".222..11..",
    "......11..",
    "..........",
)

CASES = {
    # The rim of the object is undecided; the prediction covers half of the rim and four pixels of background.
    "void pixels": Case(
        annotations=[
            draw(
                "??????....",
                "?1111?....",
                "?1111?....",
                "?1111?....",
                "??????....",
                "..........",
            )
        ]
        * 4,
        predictions=[
            draw(
                "...111....",
                ".111111...",
                ".111111...",
                ".111111...",
                "...1111...",
                "..........",
            )
        ]
        * 3
        + [ONE],
        identity=[(0.48, 0, 0, 0.75, 1, 0)],
        matched=[(0.75, 1, 0, 0.892857142857, 1, -0.0714285714286)],
    ),
    "an object the prediction lacks": Case(
        annotations=[BOTH] * 5,
        predictions=[ONE, ONE, ONE, SHIFTED * (SHIFTED == 1), ONE],
        identity=[
            (0.733333333333, 0.666666666667, 0.8, 0.888888888889, 1, 0.333333333333),
            (0, 0, 0, 0, 0, 0),
        ],
        matched=[(0.84, 0.8, 0.4, 0.933333333333, 1, 0.166666666667), (0, 0, 0, 0, 0, 0)],
    ),
    # Label 4 fits object 1 best and label 1 object 2, so object 2 is listed first; labels 2 and 3 are spare.
    "more proposals than objects": Case(
        annotations=[BOTH] * 4,
        predictions=[
            draw(
                "3.........",
                ".444......",
                ".444..12..",
                ".333..12..",
                "......12..",
                "..........",
            ),
            draw(
                "..........",
                ".444......",
                ".444..11..",
                ".444..11..",
                "......22..",
                "..........",
            ),
        ]
        * 2,
        identity=None,
        matched=[(0.583333333333, 0.5, 0, 1, 1, 0), (0.833333333333, 1, 0, 1, 1, 0)],
    ),
    # The first frame's highest label is 2: object 1 counts though it comes later, and label 3 does not.
    "an object that appears late": Case(
        annotations=[BOTH * (BOTH == 2)] * 2
        + [BOTH]
        + [
            draw(
                "..........",
                ".111......",
                ".111..22..",
                ".111..22..",
                "......22..",
                "33........",
            )
        ]
        * 3,
        predictions=[
            BOTH * (BOTH == 2),
            draw(
                "..........",
                ".1........",
                "......22..",
                "......22..",
                "......22..",
                "..........",
            ),
            BOTH * (BOTH == 2),
            BOTH,
            SHIFTED,
            BOTH,
        ],
        identity=[
            (0.3, 0.25, -0.6, 0.416666666667, 0.5, -0.833333333333),
            (0.833333333333, 0.75, 0.333333333333, 1, 1, 0),
        ],
        matched=[
            (0.533333333333, 0.5, -0.1, 0.611111111111, 0.666666666667, -0.333333333333),
            (0.888888888889, 0.833333333333, 0.333333333333, 1, 1, 0),
        ],
    ),
    "empty on both sides": Case(
        annotations=[ONE, ONE, NOTHING, NOTHING, ONE, ONE],
        predictions=[NOTHING, NOTHING, NOTHING, ONE, NOTHING, ONE],
        identity=[(0.25, 0.25, 0.5, 0.25, 0.25, 0.5)],
        matched=[(0.333333333333, 0.333333333333, -0.5, 0.333333333333, 0.333333333333, -0.5)],
    ),
    "the first and the last frame": Case(
        annotations=[ONE] * 5,
        predictions=[NOTHING, ONE, ONE, SHIFTED * (SHIFTED == 1), NOTHING],
        identity=[(0.733333333333, 0.666666666667, 0.8, 0.888888888889, 1, 0.333333333333)],
        matched=[(0.44, 0.4, 0.4, 0.533333333333, 0.6, 0.166666666667)],
    ),
    "two referents swapped": Case(
        annotations=[BOTH] * 4,
        predictions=[SWAPPED] * 4,
        identity=[(0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)],
        matched=[(1, 1, 0, 1, 1, 0), (1, 1, 0, 1, 1, 0)],
    ),
    "a boundary of 2 px": Case(
        annotations=[blob(30, 40 + 5 * t, 20) for t in range(6)],
        predictions=[blob(30 + t, 40 + 6 * t, 21 - t) for t in range(6)],
        identity=[(0.773108210692, 1, 0.185623148725, 0.639713531703, 0.5, 0.414322936594)],
        matched=[(0.760079740145, 1, 0.320067706951, 0.642347733442, 0.5, 0.656803752583)],
    ),
    # The bar that is found shrinks by one pixel every twenty frames. The decays are not the official ones, which wrap.
    "more than 256 frames": Case(
        annotations=[bar(21)] * 402,
        predictions=[bar(21 - t // 20) for t in range(402)],
        identity=[(0.545238095238, 0.5475, 0.711928335691, 0.70378706193, 0.7475, 0.590179184584)],
        matched=[
            (0.54513148543, 0.547263681592, 0.716643092881, 0.703205815461, 0.746268656716, 0.594449977796)
        ],
    ),
}
