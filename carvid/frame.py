"""`Frame`, the input of a segmenter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame.

    index: the frame's number in the source, in display order from 0; frames that `every` skips count too.
    pts_seconds: presentation time in seconds; None where the source gives none.
    image: (H, W, 3) uint8 RGB, in [0, 255], upright (rotation metadata applied).
    name: names the frame's files: the image's stem for a folder, the zero-padded index for a video.
    """

    index: int
    pts_seconds: float | None
    image: NDArray[np.uint8]
    name: str
