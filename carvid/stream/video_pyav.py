"""Video files through PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from carvid.frame import Frame
from carvid.stream.container import UNREADABLE, frame_rate, frames_claimed, open_container
from carvid.stream.decode import decode
from carvid.stream.display_order import DisplayOrder
from carvid.stream.late_start import late_start
from carvid.stream.orientation import UPRIGHT, Turn, turn_of_angle, turn_of_matrix, turned
from carvid.stream.source import Damage, Items, Selection, Source

# FFmpeg's AVColorSpace -> swscale's SWS_CS. FFmpeg takes the others, unspecified among them, as BT.601.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT601 = 5
_LIMITED, _FULL = 1, 2


def open_pyav(path: Path, selection: Selection) -> Source:
    """A video file decoded by PyAV. Raises InputError when it is no video.

    pts_seconds is the timestamp as stored, None where there is none. Non-square pixels are left as stored.
    """
    container, stream = open_container(path)
    return Source(
        kind="video",
        frame_rate=frame_rate(stream),
        time_base=stream.time_base,
        frames_claimed=frames_claimed(container, stream),
        items=_items(path, container, stream, selection),
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        stored_width=stream.width,
    )


def _items(path: Path, container: Any, stream: Any, selection: Selection) -> Items:
    # One for the stream: it keeps its conversion tables from frame to frame.
    reformatter = VideoReformatter()
    time_base = stream.time_base
    numbered = _numbered(path, container, stream, selection.start)
    with contextlib.closing(numbered):
        while True:
            try:
                item = next(numbered)
            except StopIteration as end:
                return int(end.value)
            index = item.first_frame if isinstance(item, Damage) else item[0]
            if selection.ends_before(index):
                return index
            if isinstance(item, Damage):
                yield item
            elif selection.wants(index):
                picture = item[1]
                try:
                    image = turned(rgb_of(picture, reformatter), turn_of(picture) or UPRIGHT)
                except UNREADABLE as error:
                    yield Damage(
                        index, index, f"{picture.format.name} samples that do not convert to RGB: {error}"
                    )
                    continue
                # Not picture.time: before PyAV 18 the last frames of a stream lack their time base.
                seconds = None if picture.pts is None else float(picture.pts * time_base)
                yield Frame(index=index, pts_seconds=seconds, image=image, name=f"{index:05d}")


def _numbered(
    path: Path, container: Any, stream: Any, wanted: int
) -> Generator[tuple[int, Any] | Damage, None, int]:
    """(ordinal, av.VideoFrame) and Damage, all from ordinal `wanted` on, a few before; returns their number.

    Decoding begins at a key frame near `wanted`, if what it gives up to `wanted` is what the packets foretell.
    """
    with container:
        start = late_start(path, wanted) if wanted and path.is_file() else None
        foretold = () if start is None else start.shown
        order: DisplayOrder[Any] = (
            DisplayOrder() if start is None else DisplayOrder(start.ordinal, start.largest_step)
        )
        checked = 0
        for item in decode(container, stream, order, start):
            if checked < len(foretold):
                if not _is_as_foretold(item, foretold[checked], is_key=checked == 0):
                    break
                checked += 1
            yield item
        if checked == len(foretold):
            return order.next_index
    container, stream = open_container(path)
    with container:
        order = DisplayOrder()
        yield from decode(container, stream, order)
        return order.next_index


def _is_as_foretold(item: tuple[int, Any] | Damage, pts: int, *, is_key: bool) -> bool:
    return not isinstance(item, Damage) and item[1].pts == pts and (not is_key or bool(item[1].key_frame))


def turn_of(picture: Any) -> Turn | None:
    """The turn the picture's display matrix asks for; None without one, or for other than quarter turns."""
    try:
        # Not picture.side_data: each would hold the other until the garbage collector looks.
        entries = SideDataContainer(picture)  # type: ignore[call-arg]  # the stub has no constructor
    except ValueError:
        # PyAV does not know one of the kinds, and gives no list at all, but the angle of the matrix.
        return turn_of_angle(picture.rotation)
    for side_data in entries:
        if side_data.type == SideData.DISPLAYMATRIX:
            return turn_of_matrix(np.frombuffer(bytes(side_data), dtype=np.int32))
    return None


def rgb_of(picture: Any, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB as stored. Alpha is left out; HDR is not tone-mapped."""
    matrix = _MATRICES.get(int(picture.colorspace), _BT601)
    # PyAV before 17 lets the matrix count only when source and destination differ; RGB has none.
    other = _BT601 if matrix != _BT601 else 1
    rgb = reformatter.reformat(
        picture,
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=other,
        src_color_range=_FULL if _is_full_range(picture) else _LIMITED,
        dst_color_range=_FULL,
    )
    return np.asarray(rgb.to_ndarray(), dtype=np.uint8)


def _is_full_range(picture: Any) -> bool:
    name = picture.format.name
    if int(picture.color_range) != 0:
        return int(picture.color_range) == _FULL
    # Unstated: FFmpeg takes RGB, palettes and grey as full, and the old "yuvj" family is by definition.
    return bool(picture.format.is_rgb) or name.startswith(("yuvj", "gray", "ya", "pal", "mono", "gbr"))
