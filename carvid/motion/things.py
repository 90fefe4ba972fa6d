"""The things that one query's mask consists of: what is kept of each, and where it lies in a mask.

A thing is known by its *outline*, the mask that it had when it last stood alone and whole. Where things touch or hide
each other their masks run together, and each outline is laid where it explains the common mask best, near the place
where the thing is expected. So a thing that is hidden for a while moves on as it did before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

# An outline is laid at most this far from where it is expected: in px, and in roots of its area.
_REACH_PX, _REACH = 4, 0.1
# How many px of mask it must gain for each px that it is laid further off, in roots of its area: a boundary's length.
_STAY = 0.5
# Levels per channel of a colour histogram, and the share of pixels from which on a thing has a colour.
_LEVELS, _RARE = 8, 0.02


@dataclass(eq=False)
class Thing:
    """What is kept of a thing from one frame to the next.

    outline: (h, w) bool; its top left corner lies at x, y, in px.
    colours: its histogram (`colour_histogram`).
    usual_px: the area of its mask while nothing hides any of it.
    velocity: (2,) float64 (x, y) in px per frame, the mean over the `measured` frames at first, then over recent ones.
    lost: how many frames have passed since it was last seen.
    whole: whether it stood alone, with all of its usual area, in the last frame.
    parent: the id of the thing that it has always been beside, and which it may be a fragment of.
    """

    id: int
    outline: Bools
    x: float
    y: float
    colours: NDArray[np.float32]
    usual_px: float
    velocity: NDArray[np.float64]
    measured: int = 1
    lost: int = 0
    whole: bool = True
    parent: int | None = None

    @property
    def area_px(self) -> int:
        """Number of pixels in the outline."""
        return int(np.count_nonzero(self.outline))

    @property
    def size_px(self) -> float:
        """Root of the usual area."""
        return float(np.sqrt(self.usual_px))

    @property
    def place(self) -> NDArray[np.float64]:
        """(2,) float64 (x, y) px, the outline's top left corner."""
        return np.array([self.x, self.y])

    def move(self, step: NDArray[np.float64]) -> None:
        """Move the outline by (x, y) px."""
        self.x += float(step[0])
        self.y += float(step[1])

    def window(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], Bools]:
        """The part of a picture (H, W, ...) that the outline's box lies on, and the outline cut to the picture."""
        height, width = self.outline.shape
        x, y = round(self.x), round(self.y)
        rows, columns = slice(max(0, y), max(0, y + height)), slice(max(0, x), max(0, x + width))
        inner = self.outline[
            max(0, -y) : max(0, min(height, shape[0] - y)), max(0, -x) : max(0, min(width, shape[1] - x))
        ]
        return (rows, columns), inner

    def distance(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """(H, W) float32, each pixel's distance from the outline in px; 0 on it.

        From an outline that lies outside the picture: the distance from the point of the border nearest to it.
        """
        far = np.ones(shape, np.uint8)
        where, inner = self.window(shape)
        far[where] = ~inner
        if not inner.any():
            height, width = self.outline.shape
            x = int(np.clip(self.x + width / 2, 0, shape[1] - 1))
            y = int(np.clip(self.y + height / 2, 0, shape[0] - 1))
            far[y, x] = 0
        found: NDArray[np.float32] = cv2.distanceTransform(far, cv2.DIST_L2, 3)
        return found


class Parts:
    """The connected parts of a mask (H, W) bool, by 8 neighbours, numbered from 0.

    labels: (H, W) int32: the number of each pixel's part plus 1, 0 outside. areas: (count,) int32, in px.
    """

    def __init__(self, mask: Bools) -> None:
        number, self.labels, stats, _ = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=8
        )
        self.count = number - 1
        self.areas: NDArray[np.int32] = stats[1:, cv2.CC_STAT_AREA]

    def mask(self, part: int) -> Bools:
        """(H, W) bool: one part alone."""
        found: Bools = self.labels == part + 1
        return found

    def under(self, thing: Thing, share: float) -> list[int]:
        """The parts that overlap a thing's outline by at least this share of the smaller of the two."""
        where, inner = thing.window(self.labels.shape)
        overlap = np.bincount(self.labels[where][inner], minlength=self.count + 1)[1:]
        enough = overlap >= np.maximum(1, share * np.minimum(self.areas, thing.area_px))
        return [int(part) for part in np.flatnonzero(enough)]

    def beside(self, some: list[int], most_px: float) -> list[int]:
        """Those of some parts that lie at most so far from the largest of them."""
        if len(some) < 2:
            return some
        gaps = gap_from(self.mask(max(some, key=lambda part: int(self.areas[part]))))
        return [part for part in some if gaps[self.mask(part)].min() <= most_px]


def gap_from(mask: Bools) -> NDArray[np.float32]:
    """(H, W) float32, each pixel's distance from a mask (H, W) bool in px."""
    found: NDArray[np.float32] = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    return found


def cropped(mask: Bools) -> tuple[Bools, float, float]:
    """A mask (H, W) bool cut to its box, and the left and top of that in px."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return mask[y : y + height, x : x + width].copy(), float(x), float(y)


def colour_histogram(image: NDArray[np.uint8], mask: Bools) -> NDArray[np.float32]:
    """(8, 8, 8) float32, the shares of RGB colours within a mask; image: (H, W, 3) uint8 RGB, mask: (H, W) bool."""
    pixels = (image[mask] // (256 // _LEVELS)).astype(np.intp)
    counts = np.bincount(pixels @ [_LEVELS * _LEVELS, _LEVELS, 1], minlength=_LEVELS**3)
    return (counts / max(1, len(pixels))).astype(np.float32).reshape(_LEVELS, _LEVELS, _LEVELS)


def likeness(part: NDArray[np.float32], whole: NDArray[np.float32]) -> float:
    """The share of a part's pixels whose colour, or one beside it, the whole has: in [0, 1], from two histograms.

    What comes out from behind another thing, or into the picture, shows few of its colours at first.
    """
    has = np.pad(whole >= _RARE, 1)
    near = np.zeros(part.shape, np.bool_)
    for r, g, b in np.ndindex(3, 3, 3):
        near |= has[r : r + _LEVELS, g : g + _LEVELS, b : b + _LEVELS]
    return float(part[near].sum())


def put(thing: Thing, cover: NDArray[np.int16]) -> None:
    """Count a thing's outline in `cover` (H, W) int16, how many outlines lie on each pixel."""
    where, inner = thing.window(cover.shape)
    cover[where] += inner


def take(thing: Thing, cover: NDArray[np.int16]) -> None:
    """Undo `put`."""
    where, inner = thing.window(cover.shape)
    cover[where] -= inner


def lay(
    things: Sequence[Thing], mask: Bools, unknown: Bools, cover: NDArray[np.int16], further_px: int = 0
) -> None:
    """Move each outline to where it explains a mask best, near the place where it is.

    mask: (H, W) bool, of the query. unknown: (H, W) bool, where a thing of another name may hide it.
    cover: (H, W) int16, how many outlines lie on each pixel, these included; kept up to date.
    further_px: added to how far an outline may be moved.

    An outline gains a pixel of the mask on which no other outline lies, and loses one that is neither mask nor unknown.
    What lies outside the picture counts as unknown.
    """
    for thing in things:
        take(thing, cover)
        root = np.sqrt(thing.area_px)
        reach = _REACH_PX + int(_REACH * root) + further_px
        height, width = (side + 2 * reach for side in thing.outline.shape)
        x, y = round(thing.x) - reach, round(thing.y) - reach
        box = slice(max(0, y), max(0, y + height)), slice(max(0, x), max(0, x + width))
        told = np.where(mask[box], cover[box] == 0, np.where(unknown[box], 0, -1))
        worth = np.zeros((height, width), np.float32)
        top, left = max(0, -y), max(0, -x)
        worth[top : top + told.shape[0], left : left + told.shape[1]] = told
        gain = cv2.matchTemplate(worth, thing.outline.astype(np.float32), cv2.TM_CCORR)
        steps = np.arange(-reach, reach + 1)
        gain -= _STAY * root * np.hypot(steps[:, None], steps[None, :])
        row, column = np.unravel_index(int(gain.argmax()), gain.shape)
        thing.move(np.array([column - reach, row - reach], np.float64))
        put(thing, cover)
