"""How far the camera's motion shifts the picture from one frame to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from carvid.motion.flow import Flow

# Flow that cannot be trusted says nothing of the camera.
_SURE = 0.5


def shift(flow: Flow, things: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(2,) float64, x and y in px: the median way of pixels outside `things` (H, W) bool; zeros where none is sure."""
    background = ~things & (flow.confidence > _SURE)
    if not background.any():
        return np.zeros(2)
    step: NDArray[np.float64] = np.median(flow.offsets[background], axis=0).astype(np.float64)
    return step
