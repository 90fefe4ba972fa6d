"""Optical flow between two frames, and how far it can be trusted at each pixel.

DIS flow: T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, as OpenCV has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# How large an error halves the trust in a pixel's flow, roughly: of the way there and back, in px, and of the picture
# after warping, in grey levels of 0..255.
_ROUND_TRIP_PX = 1.5
_GREY_LEVELS = 25.0


@dataclass(frozen=True, eq=False)
class Flow:
    """Where each pixel of one frame lies in another one.

    offsets: (H, W, 2) float32: the pixel (x, y) lies at (x + offsets[y, x, 0], y + offsets[y, x, 1]) px there.
    confidence: (H, W) float32 in [0, 1].
    """

    offsets: NDArray[np.float32]
    confidence: NDArray[np.float32]


def grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) uint8 from an image (H, W, 3) uint8 RGB."""
    found: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return found


def flows(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[Flow, Flow]:
    """The flow from `one` to `other` and back; both (H, W) uint8 grey levels of the same size."""
    there, back = _offsets(one, other), _offsets(other, one)
    return (
        Flow(there, _confidence(one, other, there, back)),
        Flow(back, _confidence(other, one, back, there)),
    )


def warp(values: NDArray[Any], offsets: NDArray[np.float32]) -> NDArray[Any]:
    """What lies in another frame, seen from this one: out[y, x] = values at (x, y) + offsets[y, x], bilinear.

    values: (H, W) or (H, W, C) uint8 or float32, of the other frame. Places outside it take the nearest pixel's value.
    """
    x, y = _grid(*offsets.shape[:2])
    found: NDArray[Any] = cv2.remap(
        values, x + offsets[..., 0], y + offsets[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def _grid(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return x, y


def _offsets(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.float32]:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The preset stops at half the size; the last level is what puts a boundary on its pixel.
    search.setFinestScale(0)
    # Carried masks are better than with the preset here (scripts/bench_motion.py), and the flow takes 0.6 of the time.
    search.setUseMeanNormalization(False)
    search.setVariationalRefinementIterations(1)
    found: NDArray[np.float32] = search.calc(source, target, None)
    return found


def _confidence(
    source: NDArray[np.uint8],
    target: NDArray[np.uint8],
    there: NDArray[np.float32],
    back: NDArray[np.float32],
) -> NDArray[np.float32]:
    round_trip = there + warp(back, there)
    colour = source.astype(np.float32) - warp(target, there)
    squared = (round_trip**2).sum(2) / _ROUND_TRIP_PX**2 + (colour / _GREY_LEVELS) ** 2
    found: NDArray[np.float32] = np.exp(-squared)
    return found
