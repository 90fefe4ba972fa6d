"""`open_frames`: from a path to a stream of frames."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from carvid.errors import InputError, UsageError, did_you_mean
from carvid.frame import Frame
from carvid.paths import exists, is_dir, is_file
from carvid.stream.animation import open_pages, player_of
from carvid.stream.encryption import is_scrambled
from carvid.stream.folder import is_image, open_folder, open_image
from carvid.stream.frame_stream import FrameStream
from carvid.stream.identity import source_name
from carvid.stream.source import Damage, Items, NoFrameError, Selection, Source, StreamInfo
from carvid.stream.video_decord import load_decord, open_decord
from carvid.stream.video_pyav import open_pyav

_VIDEO_READERS: dict[str, Callable[[Path, Selection], Source]] = {"pyav": open_pyav, "decord": open_decord}

# Names that are compared with one that is not there; a folder may hold millions.
_MOST_COMPARED = 2000

READERS = tuple(_VIDEO_READERS)
"""The names `open_frames` takes as `reader`."""


def open_frames(
    source: str | os.PathLike[str],
    *,
    reader: str = "pyav",
    start_frame: int = 0,
    stop_frame: int | None = None,
    every: int = 1,
    strict: bool = False,
    read_ahead: int = 8,
) -> FrameStream:
    """A video file, an animation, a folder of images or one image, as a stream of upright RGB frames.

    source: path of the file or folder.
    reader: "pyav" or "decord", for video files.
    start_frame, stop_frame, every: frames start_frame, start_frame + every, ... below stop_frame are given;
        they keep their ordinals as `Frame.index`. What lies before start_frame is read on opening, and
        decoded as far as it must be: in most videos from the key frame before start_frame. Damage before
        that is then reported only if the packets show it: marked as incomplete, zeroed, without a timestamp.
    strict: damage raises InputError at its place, after the good frames before it, instead of being reported
        in `FrameStream.damage`.
    read_ahead: how many frames a thread keeps ready, at least 1.

    Raises UsageError for options that cannot be used, InputError for a source that gives no such frame: missing,
    empty, not a video, without a video stream; a NoFrameError if it is a video without a decodable frame in that range,
    as one shorter than start_frame.
    """
    if reader not in _VIDEO_READERS:
        near = did_you_mean(reader, READERS)
        raise UsageError(f"there is no reader {reader!r}; choose one of {', '.join(READERS)}{near}")
    if read_ahead < 1:
        raise UsageError(f"read_ahead is {read_ahead}; it must be at least 1")
    selection = Selection(start_frame, stop_frame, every)
    if reader == "decord":
        load_decord()
    path = Path(source)
    opened = _open(path, reader, selection)
    rest = _raise_damage(path, opened.items) if strict else opened.items
    first, damage = _first_frame(path, rest, selection)
    height, width = first.image.shape[:2]
    # A quarter turn swaps a pixel's sides with the picture's.
    turned = opened.stored_width is not None and height == opened.stored_width != width
    info = StreamInfo(
        name=source_name(path),
        path=path,
        kind=opened.kind,
        width=width,
        height=height,
        frame_rate=opened.frame_rate,
        time_base=opened.time_base,
        frames_claimed=opened.frames_claimed,
        selection=selection,
        pixel_aspect=1 / opened.pixel_aspect if turned else opened.pixel_aspect,
    )
    return FrameStream(info, first, damage, rest, read_ahead)


def _open(path: Path, reader: str, selection: Selection) -> Source:
    if not exists(path, InputError):
        raise InputError(
            f"there is no file or folder {path}; give a video file or a folder of images{_near(path)}"
        )
    if is_dir(path, InputError):
        return open_folder(path, selection)
    if is_file(path, InputError) and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); expected a video")
    if is_image(path):
        return open_image(path, selection)
    if player_of(path) == "pages":
        return open_pages(path, selection)
    return _VIDEO_READERS[reader](path, selection)


def _near(path: Path) -> str:
    """What lies beside a path that does not exist, and has nearly its name."""
    try:
        beside = [other.name for other in islice(path.parent.iterdir(), _MOST_COMPARED)]
    except (OSError, ValueError):
        # There is no such folder either, or none can be called so.
        return ""
    return did_you_mean(path.name, [name for name in beside if not name.startswith(".")])


def _first_frame(path: Path, items: Items, selection: Selection) -> tuple[Frame, tuple[Damage, ...]]:
    """The first frame selected and the damage before it. Raises NoFrameError when there is none."""
    damage: list[Damage] = []
    while True:
        try:
            item = next(items)
        except StopIteration as end:
            count: int = end.value
            break
        if isinstance(item, Frame):
            return item, tuple(damage)
        damage.append(item)
    found = "".join(f"; {each}" for each in damage[:1])
    if 0 < count <= selection.start:
        raise NoFrameError(
            f"start_frame is {selection.start}, but {path} holds {count} frames{found}", tuple(damage)
        )
    part = "" if selection.start == 0 and selection.stop is None else " selected"
    if not found and is_scrambled(path):
        found = "; it is encrypted"
    raise NoFrameError(f"no frame{part} of {path} could be decoded{found}", tuple(damage))


def _raise_damage(path: Path, items: Items) -> Items:
    with contextlib.closing(items):
        while True:
            try:
                item = next(items)
            except StopIteration as end:
                return int(end.value)
            if isinstance(item, Damage):
                raise InputError(f"{path} is damaged at {item}")
            yield item
