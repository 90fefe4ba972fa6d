"""Carried masks drawn to the edges of the picture where their place is not sure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Half the side of a window, in px at half the size.
_RADIUS_PX = 4
# How much colours may vary in a window that is taken for flat: a variance, for colours in [0, 1].
_FLAT = 1e-4


def refine(
    image: NDArray[np.uint8], masks: NDArray[np.float32], confidence: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The masks with their boundaries at the picture's edges, as far as their place is not sure.

    image: (H, W, 3) uint8 RGB. masks: (N, H, W) float32 in [0, 1]. confidence: (H, W) float32 in [0, 1]: a pixel that
    has 1 keeps its value. Returns masks of the same shape, dtype and range.
    """
    # Imported here: torch takes seconds, and the frames between key frames are the first to need it.
    import torch

    from carvid.refine.guided import Guide, shrunk

    refined = masks.copy()
    x, y, width, height = cv2.boundingRect(masks.any(0).astype(np.uint8))
    if not width:
        return refined
    # A pixel depends on those up to two windows away, each twice as wide at the full size.
    reach = 4 * (_RADIUS_PX + 1)
    rows = slice(max(0, y - reach), y + height + reach)
    columns = slice(max(0, x - reach), x + width + reach)
    part = image[rows, columns]
    # Never empty, also where the picture is one pixel wide.
    half = -(-part.shape[0] // 2), -(-part.shape[1] // 2)
    guide = Guide(torch.from_numpy(np.ascontiguousarray(part)), half, radius_px=_RADIUS_PX, flat=_FLAT)
    doubt = 1 - confidence[rows, columns]
    for mask, result in zip(masks, refined[:, rows, columns], strict=True):
        if mask.any():
            filtered = guide.enlarge(shrunk(torch.from_numpy(result)[None], half))[0].numpy()
            result += doubt * (filtered - result)
    return refined
