"""The things of one query, frame by frame: where each is expected, where it lies, and which pixels are its own.

A thing is known by its `outline`, the mask it had when it last stood alone. Where things of one query touch or hide each
other their masks run together, and each outline is laid where it explains the common mask best, near the place at which
the thing is expected. So a thing that is hidden for a while moves on as it did before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

# How many px of mask an outline must gain to be laid 1 px further from where it is expected, for an outline of 1 px; a
# boundary's length grows with the root of the area.
_STAY = 0.5
# Levels per channel of a colour histogram, and the share of pixels from which on a thing is said to have a colour.
_BINS, _RARE = 8, 0.02


@dataclass(eq=False)
class Thing:
    """What is kept of a thing from frame to frame.

    outline: (h, w) bool, the mask it last had alone. x, y: where the outline's top left corner lies, in px, with
        fractions. velocity: (2,) float64 (x, y) px per frame.
    colours: its histogram (`colour_histogram`).
    usual_px: the area that its mask has while nothing hides it.
    seen, lost: in how many frames it has been seen, and how many have passed since it was.
    """

    id: int
    outline: Bools
    x: float
    y: float
    colours: NDArray[np.float32]
    usual_px: float
    velocity: NDArray[np.float64]
    seen: int = 1
    lost: int = 0
    alone: bool = True
    parent: int | None = None

    @property
    def area_px(self) -> int:
        return int(np.count_nonzero(self.outline))

    @property
    def centre(self) -> NDArray[np.float64]:
        """(2,) float64 (x, y) px: the middle of the outline's box."""
        height, width = self.outline.shape
        return np.array([self.x + width / 2, self.y + height / 2])

    def window(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Bools]:
        """The part of a picture (H, W, ...) that the outline's box lies on, and the outline cut to it."""
        height, width = self.outline.shape
        x, y = round(self.x), round(self.y)
        rows, columns = slice(max(0, y), max(0, y + height)), slice(max(0, x), max(0, x + width))
        inner = self.outline[
            max(0, -y) : max(0, min(height, shape[0] - y)), max(0, -x) : max(0, min(width, shape[1] - x))
        ]
        return (rows, columns), inner


def colour_histogram(image: NDArray[np.uint8], mask: Bools) -> NDArray[np.float32]:
    """(8, 8, 8) float32, the shares of RGB colours within a mask; image: (H, W, 3) uint8, mask: (H, W) bool."""
    pixels = (image[mask] // (256 // _BINS)).astype(np.intp)
    counts = np.bincount(pixels @ [_BINS * _BINS, _BINS, 1], minlength=_BINS**3)
    return (counts / max(1, len(pixels))).astype(np.float32).reshape(_BINS, _BINS, _BINS)


def likeness(part: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
    """The share of a part's colours that the whole has, or nearly: in [0, 1], from two histograms.

    What comes out from behind another thing, or into the picture, may have few of its colours at first.
    """
    has = np.pad(whole >= _RARE, 1)
    near = np.zeros_like(part, np.bool_)
    for r, g, b in np.ndindex(3, 3, 3):
        near |= has[r : r + _BINS, g : g + _BINS, b : b + _BINS]
    return float(part[near].sum())


def lay(things: Sequence[Thing], mask: Bools, unknown: Bools, cover: NDArray[np.int16], further_px: int = 0) -> None:
    """Move each outline, by at most reach_px in x and y, to where it explains the mask best.

    mask: (H, W) bool, of the query. unknown: (H, W) bool, where a thing may be hidden by another query's.
    cover: (H, W) int16, how many outlines lie on each pixel; kept up to date.

    An outline gains a pixel of the mask that no other outline lies on, and loses one that is neither mask nor unknown.
    """
    for thing in things:
        where, inner = thing.window(mask.shape)
        cover[where] -= inner
        height, width = thing.outline.shape
        reach_px = further_px + 4 + int(np.sqrt(thing.area_px) / 10)
        x, y = round(thing.x) - reach_px, round(thing.y) - reach_px
        box = (slice(max(0, y), max(0, y + height + 2 * reach_px)), slice(max(0, x), max(0, x + width + 2 * reach_px)))
        worth = np.zeros((height + 2 * reach_px, width + 2 * reach_px), np.float32)
        told = np.where(mask[box], cover[box] == 0, np.where(unknown[box], 0, -1))
        top, left = max(0, -y), max(0, -x)
        worth[top : top + told.shape[0], left : left + told.shape[1]] = told
        gain = cv2.matchTemplate(worth, thing.outline.astype(np.float32), cv2.TM_CCORR)
        steps = np.arange(-reach_px, reach_px + 1)
        gain -= _STAY * np.sqrt(thing.area_px) * np.hypot(steps[:, None], steps[None, :])
        row, column = np.unravel_index(int(gain.argmax()), gain.shape)
        thing.x += float(column) - reach_px
        thing.y += float(row) - reach_px
        where, inner = thing.window(mask.shape)
        cover[where] += inner
