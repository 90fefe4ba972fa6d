"""How the camera's motion shifts and zooms the picture from one frame to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carvid.motion.flow import Flow

Floats = NDArray[np.float64]

# Flow that cannot be trusted says nothing of the camera.
_SURE = 0.5
# So many pixels are looked at, in pairs that lie apart by this share of the picture.
_LOOKED, _APART = 4000, 0.25


def camera_step(flow: Flow, things: NDArray[np.bool_]) -> Floats:
    """(3,) float64, x and y in px and a scale: what lies at p in the flow's own frame lies at scale * p + (x, y) in the
    other one, for pixels outside `things` (H, W) bool.

    The scale is the median slope over pairs of pixels (Theil and Sen), and the shift the median of what it leaves, so
    that what moves by itself counts little. No shift and scale 1 where no pixel is sure.
    """
    y, x = np.nonzero(~things & (flow.confidence > _SURE))
    if not x.size:
        return np.array([0.0, 0.0, 1.0])
    # The same pixels each time.
    chosen = np.random.default_rng(0).permutation(x.size)[:_LOOKED]
    places = np.stack([x[chosen], y[chosen]], 1).astype(np.float64)
    offsets = flow.offsets[y[chosen], x[chosen]].astype(np.float64)
    half = len(places) // 2
    gaps, changes = (each[:half] - each[half : 2 * half] for each in (places, offsets))
    apart = np.abs(gaps) > _APART * np.array(things.shape[::-1])
    growth = float(np.median(changes[apart] / gaps[apart])) if apart.any() else 0.0
    shift = np.median(offsets - growth * places, axis=0)
    return np.array([*shift, 1 + growth])


def inverse(step: Floats) -> Floats:
    """The step that undoes one."""
    return np.array([-step[0] / step[2], -step[1] / step[2], 1 / step[2]])


def after(before: Floats, step: Floats) -> Floats:
    """A step and then another, as one."""
    return np.array([*(step[2] * before[:2] + step[:2]), step[2] * before[2]])
