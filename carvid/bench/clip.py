"""The frames of a benchmark: from a video, or from a drawn clip that is encoded and decoded like one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.frame import Frame
from carvid.media.video_writer import VideoWriter
from carvid.shapes.scenes import COLOURS, SHAPES, moving_clip
from carvid.stream import open_frames

CLIP_SEED = 2024


@dataclass(frozen=True)
class Clip:
    """frames: the first is the warm-up frame. decode_seconds: one for each of the others."""

    name: str
    frames: tuple[Frame, ...]
    decode_seconds: tuple[float, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in px."""
        height, width = self.frames[0].image.shape[:2]
        return width, height


def draw_video(path: Path, count: int, size: tuple[int, int]) -> None:
    """Write a drawn moving clip of `count` frames as H.264, scaled to `size` (width, height) in px."""
    with VideoWriter(path, Fraction(25)) as video:
        for scene in moving_clip(CLIP_SEED, count):
            video.write(scaled(scene.image, size))


def read_clip(source: Path, name: str, count: int, size: tuple[int, int] | None = None) -> Clip:
    """A warm-up frame and up to `count` more of a video or folder, scaled to `size` (width, height) in px if given.

    Raises InputError for fewer than two frames.
    """
    frames: list[Frame] = []
    marks = [time.perf_counter()]
    # This loop only waits for frames, so the time between two frames is the decoder's.
    with open_frames(source, stop_frame=count + 1) as stream:
        for frame in islice(stream, count + 1):
            frames.append(frame)
            marks.append(time.perf_counter())
    if len(frames) < 2:
        raise InputError(f"{source} gives one frame; expected at least two, the first as a warm-up")
    if size is not None:
        frames = [replace(frame, image=scaled(frame.image, size)) for frame in frames]
    return Clip(name, tuple(frames), tuple(np.diff(marks)[1:].tolist()))


def query_texts(count: int) -> Sequence[str]:
    """`count` different queries: first the things of the drawn clip, then other names, then numbered ones."""
    drawn = [thing.name for thing in next(moving_clip(CLIP_SEED, 1)).things]
    named = [
        f"the {name}"
        for name in dict.fromkeys([*drawn, *(f"{colour} {shape}" for shape in SHAPES for colour in COLOURS)])
    ]
    return [named[i] if i < len(named) else f"{named[i % len(named)]} number {i}" for i in range(count)]


def scaled(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image at `size` (width, height) in px."""
    found: NDArray[np.uint8] = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    return found
