"""The things among which words choose, as numbers: where each is, how large, and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One thing over T frames.

    boxes: (T, 4) float64, left, top, right and bottom edge in px; nan where it is not seen.
    areas: (T,) float64 px; 0 where it is not seen.
    camera: (T, 2) float64 px, how far the picture's content has shifted since the first frame because the camera moved;
        what is left of a thing's way without it is its own motion. With a zoom, of the picture's top left corner.
    zoom: (T,) float64, how much larger the picture's content is than in the first frame; None where it stays so.
    size: (H, W) of the picture in px; None where its sides are not known, so that no thing counts as cut by them.
    """

    boxes: Floats
    areas: Floats
    camera: Floats
    zoom: Floats | None = None
    size: tuple[int, int] | None = None

    @classmethod
    def of_masks(cls, masks: Bools, camera: Floats | None = None, zoom: Floats | None = None) -> Candidate:
        """From masks (T, H, W) bool; camera None for one that stands still."""
        boxes = np.full((len(masks), 4), np.nan)
        for box, mask in zip(boxes, masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if rows.size:
                box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        still = np.zeros((len(masks), 2)) if camera is None else camera
        return cls(boxes, masks.sum((1, 2)).astype(np.float64), still, zoom, (masks.shape[1], masks.shape[2]))

    def during(self, frames: slice) -> Candidate:
        """It in some of the frames."""
        zoom = None if self.zoom is None else self.zoom[frames]
        return Candidate(self.boxes[frames], self.areas[frames], self.camera[frames], zoom, self.size)

    @cached_property
    def seen(self) -> Bools:
        """(T,) bool."""
        found: Bools = self.areas > 0
        return found

    @cached_property
    def centres(self) -> Floats:
        """(T, 2) px, x and y of the boxes' middles; nan where it is not seen."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2

    @cached_property
    def sides(self) -> Floats:
        """(T, 2) px, width and height; nan where it is not seen."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @cached_property
    def own_way(self) -> Floats:
        """(T, 2) px of the first frame, x and y: where it is without the camera's motion; nan where it is not seen.

        That of its middle or, where one side of the picture cuts it in some frame, of its opposite edge: what is cut
        seems to move by half as much as it does.
        """
        found = self.centres.copy()
        for axis in (0, 1):
            first, last = self.boxes[self.seen][:, axis], self.boxes[self.seen][:, axis + 2]
            cut = np.any(first <= 0), self.size is not None and np.any(last >= self.size[1 - axis])
            if cut[0] != cut[1] and self.size is not None:
                found[:, axis] = self.boxes[:, axis + 2 if cut[0] else axis]
        way: Floats = (found - self.camera) / self._scale[:, None]
        return way

    @property
    def _scale(self) -> Floats:
        return np.ones(len(self.areas)) if self.zoom is None else self.zoom

    @cached_property
    def velocity(self) -> Floats:
        """(2,) px a frame, x and y, of its own motion: its way from the first to the last frame in which it is seen."""
        when = np.flatnonzero(self.seen)
        if when.size < 2:
            return np.zeros(2)
        own = self.own_way
        step: Floats = (own[when[-1]] - own[when[0]]) / (when[-1] - when[0])
        return step

    @cached_property
    def speed(self) -> float:
        """px a frame: the length of its way, by steps as long as its frames allow that noise does not add up."""
        when = np.flatnonzero(self.seen)
        if when.size < 2:
            return 0.0
        own = self.own_way[when]
        marks = np.unique(np.linspace(0, when.size - 1, min(when.size, 5)).round().astype(int))
        way = np.linalg.norm(np.diff(own[marks], axis=0), axis=1).sum()
        return float(way / (when[-1] - when[0]))

    @cached_property
    def growth(self) -> float:
        """By how much its area grows a frame, as a share: above 0 where it comes nearer."""
        when = np.flatnonzero(self.seen)
        if when.size < 2:
            return 0.0
        part = max(1, when.size // 4)
        own = self.areas / self._scale**2
        before, after = (float(np.median(own[some])) for some in (when[:part], when[-part:]))
        return float(np.log(after / before) / (when[-1] - when[0]))

    @cached_property
    def turn(self) -> float:
        """How far it turns: the change of its direction in radians or, if that is more, of its sides' ratio."""
        when = np.flatnonzero(self.seen)
        if when.size < 3:
            return 0.0
        ratio = np.log(self.sides[when, 0] / self.sides[when, 1])
        own = self.own_way[when]
        middle = when.size // 2
        legs = own[middle] - own[0], own[-1] - own[middle]
        lengths = [float(np.linalg.norm(leg)) for leg in legs]
        bend = 0.0
        # A leg shorter than a few px has no direction.
        if min(lengths) > 3:
            bend = float(np.arccos(np.clip(legs[0] @ legs[1] / (lengths[0] * lengths[1]), -1, 1)))
        return max(bend, float(ratio.max() - ratio.min()))
