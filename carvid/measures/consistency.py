"""Temporal consistency: how well an object's mask is the mask of the frame before, moved as the picture moved.

For one object and two consecutive frames it is the IoU of the object's mask with its mask in the frame before, warped
into this frame by optical flow. Only pixels count whose flow is to be trusted (`trusted`): what was hidden, or outside
the picture, says nothing about the masks. Over a video it is the mean over the pairs of consecutive frames.

- An object with a mask in one of the two frames only has 0 there: it has come or gone without the picture.
- A pair of frames is left out for an object that neither mask has on a trusted pixel. This holds for an object that is
  in neither frame, and for one that lies wholly where the flow is not trusted.
- An object for which every pair is left out has no consistency.

No annotation is needed, and none is asked: masks that are wrong alike in all frames are consistent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carvid.measures.label_maps import labels_in
from carvid.measures.pair import iou_from_counts
from carvid.motion.flow import Flow, warp

CONFIDENT = 0.5
"""A pixel counts where the confidence of its flow is above this."""


def trusted(flow: Flow) -> NDArray[np.bool_]:
    """(H, W) bool: where the flow has a confidence above `CONFIDENT` and ends inside the other frame."""
    height, width = flow.confidence.shape
    x = np.arange(width) + flow.offsets[..., 0]
    y = np.arange(height)[:, None] + flow.offsets[..., 1]
    # A pixel reaches half a pixel around its centre.
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    found: NDArray[np.bool_] = (flow.confidence > CONFIDENT) & inside
    return found


def consistency(before: NDArray[np.uint8], now: NDArray[np.uint8], back: Flow) -> dict[int, float]:
    """The consistency of each object over two consecutive frames, in [0, 1], by label; those left out are missing.

    before, now: (H, W) uint8 label maps, 0 background, an object's label the same in both.
    back: the flow from the frame of `now` to the frame of `before`.

    A pixel is in the warped mask where the bilinear mean of the mask at the place it comes from is at least 1/2.
    """
    counted = trusted(back)
    found = {}
    for label in np.union1d(labels_in(before), labels_in(now)).tolist():
        moved = warp((before == label).astype(np.float32), back.offsets) >= 0.5
        here = now == label
        either_px = np.count_nonzero((moved | here) & counted)
        if either_px:
            found[label] = iou_from_counts(np.count_nonzero(moved & here & counted), either_px).item()
    return found


class ConsistencyTally:
    """Takes a video's label maps in order; keeps the last one, and a sum and a count per label."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._sums = np.zeros(256)
        self._pairs = np.zeros(256, np.int64)

    def add(self, labels: NDArray[np.uint8], back: Flow | None) -> None:
        """labels: (H, W) uint8, 0 background. back: the flow to the frame before; None at the first frame alone."""
        assert (self._before is None) == (back is None)
        if self._before is not None and back is not None:
            for label, value in consistency(self._before, labels, back).items():
                self._sums[label] += value
                self._pairs[label] += 1
        self._before = labels

    def means(self) -> dict[int, float]:
        """The mean over the pairs of frames by label, ascending; labels without a pair are missing."""
        return {
            label: float(self._sums[label] / self._pairs[label])
            for label in np.flatnonzero(self._pairs).tolist()
        }
