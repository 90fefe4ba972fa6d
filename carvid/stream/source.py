"""What every reader is given and what it gives: selection in; facts, frames and damage out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

from carvid.errors import InputError, UsageError
from carvid.frame import Frame

Kind: TypeAlias = Literal["video", "folder"]


@dataclass(frozen=True)
class StreamInfo:
    """What is known of a source before it has been read.

    name: what the source is called: the name of its file or folder.
    path: the source as it was given; None for one that is no file, such as a camera or an array.
    kind: "video", or "folder" for a folder of images (and for a single image).
    width, height: size in px of the first frame the stream gives, upright.
    frame_rate: average frames per second, exact; None where the source states none (every folder).
    time_base: unit of the source's timestamps in seconds; None where there are none (every folder).
    frames_claimed: how many frames the whole source claims to hold, whatever part of it is read; None where
        it claims nothing.
    selection: the part of the source that is read.
    pixel_aspect: a pixel's width by its height, upright; 1 where pixels are square or the source does not say.
    """

    name: str
    path: Path | None
    kind: Kind
    width: int
    height: int
    frame_rate: Fraction | None
    time_base: Fraction | None
    frames_claimed: int | None
    selection: Selection
    pixel_aspect: Fraction = Fraction(1)

    @property
    def frames_expected(self) -> int | None:
        """How many frames the stream will give if the source holds what it claims; None where it claims nothing.

        Good for an estimate of the time left; how many there are is known at the end.
        """
        return None if self.frames_claimed is None else self.selection.count(self.frames_claimed)


@dataclass(frozen=True)
class Damage:
    """A run of frames the source should hold and does not give.

    first_frame: ordinal of the first frame missing, numbered as `Frame.index` is.
    last_frame: ordinal of the last one, included; None when everything from first_frame to the end is missing
        and how much that is cannot be known.
    reason: what was found there.

    The missing frames keep their ordinals, so the frames after them are numbered as in the undamaged source,
    as far as the source tells how many are missing: in a video, one for each packet that could not be used.
    """

    first_frame: int
    last_frame: int | None
    reason: str

    def __str__(self) -> str:
        if self.last_frame is None:
            return f"frame {self.first_frame} to the end: {self.reason}"
        if self.last_frame == self.first_frame:
            return f"frame {self.first_frame}: {self.reason}"
        return f"frames {self.first_frame} to {self.last_frame}: {self.reason}"


class NoFrameError(InputError):
    """A source that could be read but gives no frame of what was selected (exit code 3).

    damage: what was met in place of frames.
    """

    def __init__(self, message: str, damage: tuple[Damage, ...] = ()) -> None:
        super().__init__(message)
        self.damage = damage


Items: TypeAlias = Generator[Frame | Damage, None, int]
"""Frames and damage in display order; returns how many ordinals there were. Closing it closes the files."""


@dataclass(frozen=True)
class Source:
    """An opened source: the facts its container states, and its items.

    pixel_aspect: a pixel's width by its height as stored, before a turn. stored_width: in px; None if not stated.
    """

    kind: Kind
    frame_rate: Fraction | None
    time_base: Fraction | None
    frames_claimed: int | None
    items: Items
    pixel_aspect: Fraction = Fraction(1)
    stored_width: int | None = None


@dataclass(frozen=True)
class Selection:
    """Which ordinals to give: start, start + every, ... below stop.

    start: first ordinal, at least 0.
    stop: first ordinal not given any more; None for no limit.
    every: step, at least 1.
    """

    start: int
    stop: int | None
    every: int

    def __post_init__(self) -> None:
        if self.start < 0:
            raise UsageError(f"start_frame is {self.start}; frames are counted from 0")
        if self.stop is not None and self.stop <= self.start:
            raise UsageError(f"stop_frame is {self.stop}; it must be above start_frame, {self.start}")
        if self.every < 1:
            raise UsageError(f"every is {self.every}; it must be at least 1 (1 takes every frame)")

    def count(self, total: int) -> int:
        """How many ordinals of a source of `total` frames are given."""
        return len(range(total)[self.start : self.stop : self.every])

    def wants(self, index: int) -> bool:
        return index >= self.start and not self.ends_before(index) and (index - self.start) % self.every == 0

    def ends_before(self, index: int) -> bool:
        return self.stop is not None and index >= self.stop
