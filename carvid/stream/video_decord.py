"""Video files through decord, the optional reader."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError, UsageError
from carvid.frame import Frame
from carvid.stream.container import frame_rate, frames_claimed, open_container, stated_end_seconds
from carvid.stream.decode import decode, falls_short
from carvid.stream.display_order import DisplayOrder
from carvid.stream.orientation import UPRIGHT, Turn, turned
from carvid.stream.source import Damage, Items, Selection, Source
from carvid.stream.video_pyav import turn_of

# decord puts a neighbour in the place of a frame it cannot decode; above this share of the video it raises.
_REPLACED_SHARE = 1e-9

# A missing timestamp comes out of decord as some 1e17 seconds.
_YEAR_SECONDS = 3.2e7


def load_decord() -> Any:
    """The decord module. Raises UsageError when it cannot be imported."""
    try:
        decord = importlib.import_module("decord")
    except (ImportError, OSError) as error:  # OSError: its shared library does not load on this machine
        raise UsageError(
            f"the reader decord is not installed ({error}); pip install 'carvid[decord]', or use reader pyav"
        ) from error
    # Its FFmpeg writes to stderr past Python; what matters is raised as well.
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def open_decord(path: Path, selection: Selection) -> Source:
    """A video file decoded by decord. Raises InputError when it is no video, or one decord refuses.

    The container's facts and its orientation come from PyAV, since decord reports no time base, no exact
    frame rate and no mirroring. Timestamps are decord's: 32-bit seconds, about 1 us off in the first ten
    seconds. decord chooses among several video streams by itself. The first damage ends its stream,
    some frames early, since it decodes in a thread of its own.
    """
    decord = load_decord()
    container, stream = open_container(path)
    with container:
        rate, stated_end = frame_rate(stream), stated_end_seconds(container, stream)
        time_base, claimed = stream.time_base, frames_claimed(container, stream)
        turn = _first_turn(container, stream)
    try:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=_REPLACED_SHARE)
    except (decord.DECORDError, RuntimeError, AssertionError) as error:
        raise InputError(
            f"decord cannot open {path}, maybe truncated or damaged; the reader pyav reads up to the damage"
        ) from error
    decoded = _decoded(decord, reader, stated_end, rate)
    return Source("video", rate, time_base, claimed, _items(decoded, _correction(turn), selection))


def _decoded(
    decord: Any, reader: Any, stated_end: Fraction | None, rate: Fraction | None
) -> Iterator[tuple[NDArray[np.uint8], float | None] | str]:
    """Pictures as decord turns them, with their times; a last string says why there should have been more."""
    spans = reader.get_frame_timestamp(range(len(reader)))  # (claimed frames, 2): start and end in seconds
    count = 0
    while True:
        try:
            picture = _pixels(reader.next().asnumpy())
        except StopIteration:
            break
        except (decord.DECORDError, RuntimeError):
            yield "data that decord does not decode; the reader pyav goes on after it"
            return
        yield picture, _time(spans, count, 0)
        count += 1
    end = _time(spans, count - 1, 1)
    short = falls_short(None if end is None else Fraction(end), stated_end, rate)
    if short is not None:
        yield short


def _pixels(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) from what decord gives; of narrow pictures it takes the padding of each row for channels."""
    height, width = picture.shape[:2]
    return picture.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


def _items(
    decoded: Iterator[tuple[NDArray[np.uint8], float | None] | str], correction: Turn, selection: Selection
) -> Items:
    index = 0
    for item in decoded:
        if selection.ends_before(index):
            break
        if isinstance(item, str):
            yield Damage(index, None, item)
            break
        picture, pts_seconds = item
        if selection.wants(index):
            yield Frame(index, pts_seconds, turned(picture, correction), f"{index:05d}")
        index += 1
    return index


def _first_turn(container: Any, stream: Any) -> Turn:
    order: DisplayOrder[Any] = DisplayOrder()
    for item in decode(container, stream, order):
        if not isinstance(item, Damage):
            return turn_of(item[1]) or UPRIGHT
    return UPRIGHT


def _correction(turn: Turn) -> Turn:
    """What is left to do after decord, which turns by the angle of the matrix and never mirrors."""
    a, b, c, d = turn
    if a * d - b * c > 0:
        return UPRIGHT
    # decord has applied the rotation R = [[a, -b], [b, a]]; [[a, c], [b, d]] R^-1 is left.
    return a * a - b * c, b * (a - d), a * (b + c), b * b + a * d


def _time(spans: NDArray[np.float32], index: int, side: int) -> float | None:
    if not 0 <= index < len(spans):
        return None
    seconds = float(spans[index, side])
    return seconds if abs(seconds) < _YEAR_SECONDS else None
