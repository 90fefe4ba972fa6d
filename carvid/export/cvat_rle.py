"""CVAT's masks: run lengths along the rows of the mask's bounding box, background first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode_cvat_rle(crop: NDArray[np.bool_]) -> list[int]:
    """The run lengths of an (h, w) bool mask, row by row; the first counts background and may be 0."""
    flat = crop.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: list[int] = np.diff(changes, prepend=0, append=flat.size).tolist()
    return [0, *runs] if flat[0] else runs
