"""Masks as closed polygons: one per mask, for formats that hold no more, or one per part of it.

A hole is reached by a horizontal bridge from its leftmost outline pixel, through the object, to the next outline
on its left; the polygon follows a bridge there and back, so it has no area. In one polygon per mask, whose
vertices are the centres of the outline's pixels, a further part of the object is reached by a bridge from its
nearest vertex. Readers fill such a polygon by the even-odd rule and draw its edges. Without simplification, one
part with its holes is thus exact to the pixel; several parts differ by the bridges between them, one pixel wide.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int32]
"""(n, 2) x and y in px of pixel centres, counted from 0."""

_WITHIN = 0.25
"""Half of half a pixel: from the corner to the centre of a quarter of one."""


def mask_polygon(mask: NDArray[np.bool_], tolerance_px: float) -> Points:
    """A non-empty (H, W) bool mask as one closed polygon of at least three vertices, the first not repeated.

    tolerance_px: Douglas and Peucker's distance, in px; 0 keeps every pixel of the outline.
    """
    parts = [_simplified(*part, tolerance_px) for part in _parts(mask)]
    # The largest first: the others are joined to it. The sort is stable, so ties keep OpenCV's order.
    parts.sort(key=lambda part: -abs(float(cv2.contourArea(part))))
    polygon = parts[0]
    for part in parts[1:]:
        polygon = _joined(polygon, part)
    # Readers refuse fewer than three points.
    return np.concatenate([polygon, polygon[-1:].repeat(max(0, 3 - len(polygon)), axis=0)])


def part_polygons(mask: NDArray[np.bool_], tolerance_px: float) -> list[NDArray[np.float64]]:
    """A non-empty (H, W) bool mask as one closed polygon, (n, 2) with n >= 3, for each of its parts.

    x and y are in px from the top left corner of the first pixel, and lie a quarter of a pixel within the
    outline: readers that fill up to pixel centres (pycocotools) and readers that truncate coordinates and draw
    the edges (OpenCV's) then find the same pixels.
    tolerance_px: as in `mask_polygon`; a part of which less than a triangle would be left is kept as it is.
    """
    found = []
    for sequence, pinned in _parts(mask.repeat(2, axis=0).repeat(2, axis=1)):
        part = _simplified(sequence, pinned, 2 * tolerance_px)
        found.append((sequence if len(part) < 3 else part) / 2 + _WITHIN)
    return found


def fill_polygon(polygon: Points, height: int, width: int) -> NDArray[np.bool_]:
    """The (height, width) bool mask a reader makes of a polygon: filled by the even-odd rule, edges drawn."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [polygon], (1,))
    return mask.astype(bool)


def _parts(mask: NDArray[np.bool_]) -> list[tuple[Points, NDArray[np.bool_]]]:
    """The outline of each part of a mask, with bridges to its holes, and its vertices that must stay."""
    contours, hierarchy = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holes: dict[int, list[Points]] = {}
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0], strict=True):
        if parent >= 0:
            holes.setdefault(int(parent), []).append(_points(contour))
    return [
        _with_holes(mask, _points(contour), holes.get(place, []))
        for place, contour in enumerate(contours)
        if hierarchy[0][place][3] < 0
    ]


def _points(contour: NDArray[np.int32]) -> Points:
    return contour.reshape(-1, 2)


def _with_holes(
    mask: NDArray[np.bool_], outline: Points, holes: list[Points]
) -> tuple[Points, NDArray[np.bool_]]:
    """The outline with a bridge to each hole, and which vertices may not be simplified away."""
    sequence, pinned = outline, _pins(outline)
    # From the left: what lies to the left of a hole is then part of the sequence already.
    for hole in sorted(holes, key=lambda ring: _leftmost(ring)[:2]):
        x, y, place = _leftmost(hole)
        background = np.flatnonzero(~mask[y, :x])
        end = int(background[-1]) + 1 if background.size else 0
        at = int(np.flatnonzero((sequence == (end, y)).all(axis=1))[0])
        ring = np.roll(hole, -place, axis=0)
        pins = _pins(ring)
        pinned[at] = True
        sequence = np.concatenate([sequence[: at + 1], ring, ring[:1], sequence[at:]])
        pinned = np.concatenate([pinned[: at + 1], pins, pins[:1], pinned[at:]])
    return sequence, pinned


def _leftmost(ring: Points) -> tuple[int, int, int]:
    """x, y and place of a ring's leftmost vertex, the topmost of them."""
    place = int(np.lexsort((ring[:, 1], ring[:, 0]))[0])
    return int(ring[place, 0]), int(ring[place, 1]), place


def _pins(ring: Points) -> NDArray[np.bool_]:
    """The first vertex of a ring and the one farthest from it."""
    pins = np.zeros(len(ring), np.bool_)
    pins[[0, int(((ring - ring[0]) ** 2).sum(axis=1).argmax())]] = True
    return pins


def _simplified(sequence: Points, pinned: NDArray[np.bool_], tolerance_px: float) -> Points:
    """The closed sequence simplified between pinned vertices; its first vertex is one."""
    if tolerance_px <= 0:
        return sequence
    closed = np.concatenate([sequence, sequence[:1]])
    places = [*np.flatnonzero(pinned).tolist(), len(sequence)]
    kept = [
        _points(cv2.approxPolyDP(closed[start : stop + 1], tolerance_px, False))[:-1]
        if stop - start > 1
        else closed[start:stop]
        for start, stop in pairwise(places)
    ]
    return np.concatenate(kept)


def _joined(polygon: Points, part: Points) -> Points:
    """The polygon with another part, by a bridge between their nearest vertices."""
    nearest = (np.inf, 0, 0)
    for place, vertex in enumerate(part.tolist()):
        away = ((polygon - vertex) ** 2).sum(axis=1)
        at = int(away.argmin())
        nearest = min(nearest, (float(away[at]), at, place))
    _, at, place = nearest
    ring = np.roll(part, -place, axis=0)
    return np.concatenate([polygon[: at + 1], ring, ring[:1], polygon[at:]])
