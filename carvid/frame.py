"""What goes into a segmenter: one `Frame`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame.

    index: ordinal of the decoded frame in display order, from 0, counted before `every` thins the stream.
    pts_seconds: presentation time in seconds; None where the source gives none.
    image: (H, W, 3) uint8 RGB, in [0, 255], upright (rotation metadata applied).
    name: the frame's name for files: the image's stem in a folder, the zero-padded index in a video.
    """

    index: int
    pts_seconds: float | None
    image: NDArray[np.uint8]
    name: str
