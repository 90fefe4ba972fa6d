"""Video files through decord, the optional reader."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from carvid.errors import InputError, UsageError
from carvid.frame import Frame
from carvid.stream.container import frame_rate, frames_claimed, open_container
from carvid.stream.decode import decode
from carvid.stream.display_order import DisplayOrder
from carvid.stream.late_start import makes_frame
from carvid.stream.orientation import UPRIGHT, Turn, turned
from carvid.stream.packets import Packets
from carvid.stream.source import Damage, Items, Selection, Source
from carvid.stream.video_pyav import rgb_of, turn_of

# decord puts a neighbour in the place of a frame it cannot decode; above this share of the video it raises.
_REPLACED_SHARE = 1e-9

# Mean difference per sample, of 255, below which two pictures are one: decord converts colours a little differently.
_SAME_PICTURE_LEVELS = 6


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
    """A video file decoded by decord. Raises InputError when it is no video, or one decord does not give as stored.

    The container's facts, timestamps and orientation come from PyAV. So do the number of frames and the first
    picture, which decord has to match: where it seeks badly (MPEG-TS) or sees other frames than there are (edit
    lists, pictures before the first key frame), its frames would stand at wrong ordinals. decord chooses among
    several video streams by itself. The first damage ends its stream, some frames early, since it decodes in a
    thread of its own.
    """
    decord = load_decord()
    container, stream = open_container(path)
    with container:
        rate, time_base = frame_rate(stream), stream.time_base
        claimed = frames_claimed(container, stream)
        if container.format.name == "mpegts":
            raise _refusal(path, "loses the first frames of MPEG-TS")
        times, short = _times(path, container, stream)
    container, stream = open_container(path)
    with container:
        first = _first_picture(container, stream)
    try:
        reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, fault_tol=_REPLACED_SHARE)
        count = len(reader)
    except (decord.DECORDError, decord.DECORDLimitReachedError, RuntimeError, AssertionError) as error:
        raise InputError(
            f"decord cannot open {path}, maybe truncated or damaged; the reader pyav reads up to the damage"
        ) from error
    if count != len(times):
        raise _refusal(path, f"counts {count} frames where there are {len(times)}")
    pictures = _pictures(path, decord, reader)
    items = _items(path, pictures, times, short, first, selection)
    return Source("video", rate, time_base, claimed, items)


def _refusal(path: Path, what: str) -> InputError:
    return InputError(
        f"decord {what}, so its frames of {path} would be numbered wrongly; use the reader pyav"
    )


def _times(path: Path, container: Any, stream: Any) -> tuple[list[float | None], str | None]:
    """Seconds of each frame in display order, by the packets, and why there should have been more.

    Raises InputError where the first packet is not the first one shown.
    """
    packets = Packets(container, stream)
    codec = stream.codec_context.name
    stamps = [packet.pts for packet in packets if not packet.is_discard and makes_frame(codec, bytes(packet))]
    if None in stamps:
        return [None] * len(stamps), packets.cut_short()
    if stamps and min(stamps) < stamps[0]:
        raise _refusal(path, "loses the frames shown before the first key frame")
    return [float(pts * stream.time_base) for pts in sorted(stamps)], packets.cut_short()


def _first_picture(container: Any, stream: Any) -> tuple[NDArray[np.uint8] | None, Turn]:
    """Frame 0 upright, None where it is damaged, and how the stream's pictures are turned."""
    order: DisplayOrder[Any] = DisplayOrder()
    for item in decode(container, stream, order):
        if not isinstance(item, Damage):
            index, picture = item
            turn = turn_of(picture) or UPRIGHT
            return (turned(rgb_of(picture, VideoReformatter()), turn) if index == 0 else None), turn
    return None, UPRIGHT


def _pictures(path: Path, decord: Any, reader: Any) -> Iterator[NDArray[np.uint8] | str]:
    """Pictures as decord turns them; a last string says that one did not decode."""
    while True:
        try:
            picture = _pixels(reader.next().asnumpy())
        except StopIteration:
            return
        except decord.DECORDLimitReachedError as error:
            raise _refusal(path, "puts neighbours in the place of frames it does not decode") from error
        except (decord.DECORDError, RuntimeError):
            yield "data that decord does not decode; the reader pyav goes on after it"
            return
        yield picture


def _pixels(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) from what decord gives; of narrow pictures it takes the padding of each row for channels."""
    height, width = picture.shape[:2]
    return picture.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


def _items(
    path: Path,
    pictures: Iterator[NDArray[np.uint8] | str],
    times: Sequence[float | None],
    short: str | None,
    first: tuple[NDArray[np.uint8] | None, Turn],
    selection: Selection,
) -> Items:
    expected, turn = first
    correction = _correction(turn)
    index = 0
    for picture in pictures:
        if selection.ends_before(index):
            return index
        if isinstance(picture, str):
            yield Damage(index, None, picture)
            return index
        if index == 0 and expected is not None:
            _check_first(path, turned(picture, correction), expected)
        if index == len(times):
            raise _refusal(path, f"gives more than the {index} frames there are")
        if selection.wants(index):
            yield Frame(index, times[index], turned(picture, correction), f"{index:05d}")
        index += 1
    if index < len(times):
        short = short or f"decord gives {index} frames of {len(times)}; the reader pyav may give them all"
    if short is not None and not selection.ends_before(index):
        yield Damage(index, None, short)
    return index


def _check_first(path: Path, picture: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    if (
        picture.shape != expected.shape
        or np.abs(picture.astype(np.int16) - expected).mean() > _SAME_PICTURE_LEVELS
    ):
        raise _refusal(path, "does not begin with the first frame")


def _correction(turn: Turn) -> Turn:
    """What is left to do after decord, which turns by the angle of the matrix and never mirrors."""
    a, b, c, d = turn
    if a * d - b * c > 0:
        return UPRIGHT
    # decord has applied the rotation R = [[a, -b], [b, a]]; [[a, c], [b, d]] R^-1 is left.
    return a * a - b * c, b * (a - d), a * (b + c), b * b + a * d
