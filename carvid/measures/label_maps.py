"""IoU and boundary F of every label of one label map against every label of another, at once.

Exact, by counting instead of masking: IoU from one joint histogram of the two maps, F from sparse boundary
pixels looked up in one dilation per boundary, cropped to the boundary's reach and shared by all its pairings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.measures.pair import boundary_radius_px, disk, f_from_counts, iou_from_counts


@dataclass(frozen=True, eq=False)
class Reach:
    """A boundary dilated by the disk: `inside` (h, w) uint8, 0 or 1, with its corner at row `top`, column `left`."""

    top: int
    left: int
    inside: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A label map and the boundaries of its labels 1..count; labels above `count` must not occur.

    labels: (H, W) uint8, 0 background.
    count: how many labels there may be.
    """

    labels: NDArray[np.uint8]
    count: int

    @cached_property
    def boundary_pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Row, column and label, (B,) each, of the boundary pixels of all labels, ordered by label.

        A 2 x 2 block that holds several labels is a boundary pixel of each of them; see
        `carvid.measures.pair.boundary_map`.
        """
        here = self.labels
        right, below, across = (np.empty_like(here) for _ in range(3))
        right[:, :-1], right[:, -1] = here[:, 1:], here[:, -1]
        below[:-1], below[-1] = here[1:], here[-1]
        across[:-1], across[-1] = right[1:], right[-1]
        mixed = np.flatnonzero((here != right) | (here != below) | (here != across))
        block = np.stack([corner.reshape(-1)[mixed] for corner in (here, right, below, across)])
        # One entry per distinct label of a block: a corner is kept unless an earlier corner has its label.
        kept = block > 0
        for corner in range(1, 4):
            kept[corner] &= (block[:corner] != block[corner]).all(axis=0)
        corners, pixels = np.nonzero(kept)
        labels = block[corners, pixels].astype(np.intp)
        order = np.argsort(labels, kind="stable")
        rows, columns = np.divmod(mixed[pixels[order]], here.shape[1])
        return rows, columns, labels[order]

    @cached_property
    def boundary_px(self) -> NDArray[np.intp]:
        """(count + 1,) the length of each label's boundary, in pixels; entry 0 is 0."""
        return np.bincount(self.boundary_pixels[2], minlength=self.count + 1)

    @cached_property
    def reaches(self) -> dict[int, Reach]:
        """The dilated boundary of each label that has one."""
        rows, columns, _ = self.boundary_pixels
        height, width = self.labels.shape
        radius = boundary_radius_px(height, width)
        ends = np.cumsum(self.boundary_px)
        reaches = {}
        for label in np.flatnonzero(self.boundary_px):
            span = slice(ends[label - 1], ends[label])
            ys, xs = rows[span], columns[span]
            top, left = max(int(ys.min()) - radius, 0), max(int(xs.min()) - radius, 0)
            bottom, end = min(int(ys.max()) + radius + 1, height), min(int(xs.max()) + radius + 1, width)
            edge = np.zeros((bottom - top, end - left), np.uint8)
            edge[ys - top, xs - left] = 1
            reaches[int(label)] = Reach(top, left, np.asarray(cv2.dilate(edge, _disk(radius)), np.uint8))
        return reaches


def labels_in(label_map: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The labels that occur in a label map of any shape, ascending, without the background."""
    return np.flatnonzero(np.bincount(label_map.reshape(-1), minlength=1)[1:]) + 1


def iou_table(prediction: LabelMap, truth: LabelMap) -> NDArray[np.float64]:
    """(P, G) float64: IoU of label p + 1 of the prediction against label g + 1 of the truth, in [0, 1]."""
    columns = truth.count + 1
    joint = prediction.labels.astype(np.uint16) * np.uint16(columns) + truth.labels
    counts = np.bincount(joint.reshape(-1), minlength=(prediction.count + 1) * columns)
    shared_px = counts.reshape(prediction.count + 1, columns)
    union_px = shared_px.sum(1)[1:, None] + shared_px.sum(0)[None, 1:] - shared_px[1:, 1:]
    return iou_from_counts(shared_px[1:, 1:], union_px)


def boundary_f_table(prediction: LabelMap, truth: LabelMap) -> NDArray[np.float64]:
    """(P, G) float64: F of label p + 1 of the prediction against label g + 1 of the truth, in [0, 1]."""
    return f_from_counts(
        prediction.boundary_px[1:, None],
        truth.boundary_px[None, 1:],
        _near_px(prediction, truth),
        _near_px(truth, prediction).T,
    )


def _near_px(of: LabelMap, other: LabelMap) -> NDArray[np.intp]:
    """(of.count, other.count): boundary pixels of one map's labels within the reach of the other's labels."""
    rows, columns, labels = of.boundary_pixels
    near_px = np.zeros((of.count, other.count), np.intp)
    for label, reach in other.reaches.items():
        y, x = rows - reach.top, columns - reach.left
        height, width = reach.inside.shape
        within = np.flatnonzero((y >= 0) & (y < height) & (x >= 0) & (x < width))
        inside = within[reach.inside[y[within], x[within]] > 0]
        near_px[:, label - 1] = np.bincount(labels[inside], minlength=of.count + 1)[1:]
    return near_px


@lru_cache(maxsize=8)
def _disk(radius_px: int) -> NDArray[np.uint8]:
    return disk(radius_px)
