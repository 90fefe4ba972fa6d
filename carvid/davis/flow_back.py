"""The flow from each frame of a video to the one before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.motion.flow import Flow, flows, grey
from carvid.stream.image_file import UNREADABLE, read_image


class FlowBack:
    """Takes a video's frames in order, and keeps the last one."""

    def __init__(self, height: int, width: int) -> None:
        self._size = (height, width)
        self._before: NDArray[np.uint8] | None = None

    def add(self, path: Path) -> Flow | None:
        """The flow from this frame to the one before; None at the first.

        Raises InputError naming the file where it is no readable picture, or not of the video's size.
        """
        try:
            picture = grey(read_image(path))
        except UNREADABLE as error:
            raise InputError(f"{path}: not a readable picture ({error})") from error
        if picture.shape != self._size:
            raise InputError(
                f"{path}: {picture.shape[1]}x{picture.shape[0]}, but the first annotation is "
                f"{self._size[1]}x{self._size[0]}"
            )
        before, self._before = self._before, picture
        return None if before is None else flows(picture, before)[0]
