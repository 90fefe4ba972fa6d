"""The arithmetic of the overlay: blending labels over a frame, and fitting frames to a size."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.media.palette import voc_palette

ALPHA = 0.5
"""The share of the palette's colour within a mask."""


def paint_labels(
    image: NDArray[np.uint8], label_map: NDArray[np.uint8], *, alpha: float = ALPHA
) -> NDArray[np.uint8]:
    """Blend each label's palette colour over its pixels, and draw its outline in the full colour.

    Args:
        image: (H, W, 3) uint8 RGB in [0, 255].
        label_map: (H, W) uint8, 0 for background, which keeps the image's pixels.
        alpha: the colour's share within an object, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    colours = voc_palette()[label_map]
    blended = cv2.addWeighted(image, 1 - alpha, colours, alpha, 0)
    painted = np.where((label_map > 0)[..., None], blended, image)
    edge = outline(label_map)
    painted[edge] = colours[edge]
    return painted


def outline(label_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels of objects that have a pixel of another label above, below, left or right. The frame's border does not
    count as one.

    Args:
        label_map: (H, W) uint8.

    Returns:
        (H, W) bool.
    """
    edge = np.zeros(label_map.shape, np.bool_)
    vertical = label_map[1:] != label_map[:-1]
    horizontal = label_map[:, 1:] != label_map[:, :-1]
    edge[1:] |= vertical
    edge[:-1] |= vertical
    edge[:, 1:] |= horizontal
    edge[:, :-1] |= horizontal
    return edge & (label_map > 0)


def fit(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Scale an image to fit into height x width, keeping its proportions, and centre it on black.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (height, width, 3) uint8 RGB; `image` itself if it has that size.
    """
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    inner_height = max(1, round(image.shape[0] * scale))
    inner_width = max(1, round(image.shape[1] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[top : top + inner_height, left : left + inner_width] = cv2.resize(
        image, (inner_width, inner_height), interpolation=method
    )
    return fitted


def pad_to_even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row and the last column where the height or the width is odd.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H + H % 2, W + W % 2, 3) uint8 RGB; `image` itself if both are even.
    """
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
