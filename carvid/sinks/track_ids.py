"""The ids of tracks, written into the picture."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.media.lettering import blend_text, text_coverage

_BACKDROP = 0.35
_INK = (255, 255, 255)


def draw_ids(
    canvas: NDArray[np.uint8], label_map: NDArray[np.uint8], ids: Iterable[int], size_px: int
) -> None:
    """Write each object's id onto it, in white on a darkened ground, in place.

    It is centred on the point of the object's label that lies deepest inside, or as near to it as the picture's edges
    allow. An object that has no pixel in the label map gets none.

    canvas: (H, W, 3) uint8 RGB. label_map: (H, W) uint8. size_px: the letters'.
    """
    height, width = label_map.shape
    for number in ids:
        labelled = label_map == number
        if not labelled.any():
            continue
        row, column = _deepest(labelled)
        coverage = text_coverage(str(number), size_px)
        y = max(0, min(row - coverage.shape[0] // 2, height - coverage.shape[0]))
        x = max(0, min(column - coverage.shape[1] // 2, width - coverage.shape[1]))
        ground = canvas[y : y + coverage.shape[0], x : x + coverage.shape[1]]
        ground[:] = (ground * _BACKDROP).astype(np.uint8)
        blend_text(canvas, y, x, coverage, _INK)


def _deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the pixel of the mask that is farthest from its outside."""
    # Padded, so that what lies beyond the picture counts as outside.
    distances = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    row, column = np.unravel_index(int(distances.argmax()), distances.shape)
    return int(row) - 1, int(column) - 1
