"""Turning a stored picture upright."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Turn: TypeAlias = tuple[int, int, int, int]
"""(a, b, c, d), each -1, 0 or 1: the stored point (x, y) is shown at (a x + c y, b x + d y), y downwards."""

UPRIGHT: Turn = (1, 0, 0, 1)

# cos(2 degrees): writers round the sines and cosines of a quarter turn, and mean nothing by it.
_NEARLY_ONE = 0.999


def turn_of_matrix(matrix: NDArray[np.int32]) -> Turn | None:
    """The turn a display matrix stands for; None when it is no multiple of 90 degrees, mirrored or not.

    matrix: (9,) int32 as FFmpeg has it, row by row, the rows (a, b, u), (c, d, v), (x, y, w) of ISO 14496-12;
    the scale of each axis is left out.
    """
    a, b, c, d = (float(matrix[i]) for i in (0, 1, 3, 4))
    first, second = np.hypot(a, b), np.hypot(c, d)
    if first == 0 or second == 0:
        return None
    a, b, c, d = a / first, b / first, c / second, d / second
    straight = abs(a) > _NEARLY_ONE and abs(d) > _NEARLY_ONE
    quarter = abs(b) > _NEARLY_ONE and abs(c) > _NEARLY_ONE
    return (round(a), round(b), round(c), round(d)) if straight or quarter else None


def turn_of_angle(degrees: int) -> Turn | None:
    """A turn counterclockwise; None when it is no multiple of 90 degrees."""
    if degrees % 90:
        return None
    cosine, sine = ((1, 0), (0, -1), (-1, 0), (0, 1))[degrees // 90 % 4]
    return cosine, sine, -sine, cosine


def turned(image: NDArray[np.uint8], turn: Turn) -> NDArray[np.uint8]:
    """The (H, W, 3) picture as it is to be shown: (W, H, 3) after a quarter turn. Contiguous and writable."""
    a, b, c, d = turn
    if b:
        image = image.transpose(1, 0, 2)[::b, ::c]
    else:
        image = image[::d, ::a]
    return np.require(image, requirements=["C", "W"])
