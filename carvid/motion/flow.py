"""Optical flow between two frames, and how far it can be trusted at each pixel.

DIS flow: T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, as OpenCV has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import local
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# The error at which a pixel's confidence has fallen to 1/e: of the way there and back, in px, and of the picture after
# warping, in grey levels of 0..255.
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


def flows(one: NDArray[np.uint8], other: NDArray[np.uint8], size: int | None = None) -> tuple[Flow, Flow]:
    """The flow from `one` to `other` and back; both (H, W) uint8 grey levels of the same size.

    size: search on pictures whose shorter side is at most this many px; None for pictures as they are.
    """
    whole = one.shape
    one, other = _shrunk(one, size), _shrunk(other, size)
    there, back = _offsets(one, other), _offsets(other, one)
    return (
        _enlarged(Flow(there, _confidence(one, other, there, back)), whole),
        _enlarged(Flow(back, _confidence(other, one, back, there)), whole),
    )


def _shrunk(picture: NDArray[np.uint8], size: int | None) -> NDArray[np.uint8]:
    height, width = picture.shape
    if size is None or min(height, width) <= size:
        return picture
    share = size / min(height, width)
    found: NDArray[np.uint8] = cv2.resize(
        picture, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA
    )
    return found


def _enlarged(flow: Flow, shape: tuple[int, ...]) -> Flow:
    """The flow on pictures (H, W): lengths grow with the picture."""
    height, width = flow.confidence.shape
    if (height, width) == shape:
        return flow
    offsets = cv2.resize(flow.offsets, shape[::-1], interpolation=cv2.INTER_LINEAR)
    offsets *= np.array([shape[1] / width, shape[0] / height], np.float32)
    confidence = cv2.resize(flow.confidence, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return Flow(offsets, confidence)


def warp(values: NDArray[Any], offsets: NDArray[np.float32]) -> NDArray[Any]:
    """What lies in another frame, seen from this one: out[y, x] = values at (x, y) + offsets[y, x], bilinear.

    values: (H, W) or (H, W, C) uint8 or float32, of the other frame. Places outside it take the nearest pixel's value.
    """
    places = _grid(*offsets.shape[:2]) + offsets
    found: NDArray[Any] = cv2.remap(values, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found


# The frames of a video have one size, and each is warped many times.
@lru_cache(maxsize=2)
def _grid(height: int, width: int) -> NDArray[np.float32]:
    """(H, W, 2) float32: x and y of each pixel."""
    return np.ascontiguousarray(np.indices((height, width), np.float32)[::-1].transpose(1, 2, 0))


class _Search(local):
    """DIS flow, one for each thread. It keeps its memory, which takes as long to get anew as a third of the search."""

    def __init__(self) -> None:
        self.dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        # The preset stops at half the size; the last level is what puts a boundary on its pixel.
        self.dis.setFinestScale(0)
        # Carried masks are as good as with the preset or better (scripts/bench_motion.py), in 0.4 of its time.
        self.dis.setUseMeanNormalization(False)
        self.dis.setVariationalRefinementIterations(1)
        self.dis.setGradientDescentIterations(12)
        self.dis.setPatchStride(4)


_SEARCH = _Search()


def _offsets(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = _SEARCH.dis.calc(source, target, None)
    return found


def _confidence(
    source: NDArray[np.uint8],
    target: NDArray[np.uint8],
    there: NDArray[np.float32],
    back: NDArray[np.float32],
) -> NDArray[np.float32]:
    round_trip = (there + warp(back, there)) / np.float32(_ROUND_TRIP_PX)
    levels = (source - warp(target.astype(np.float32), there)) / np.float32(_GREY_LEVELS)
    squared = round_trip[..., 0] ** 2 + round_trip[..., 1] ** 2 + levels**2
    found: NDArray[np.float32] = cv2.exp(-squared)
    return found
