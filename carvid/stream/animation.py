"""Image files that hold several pictures: which they are, and playing those that FFmpeg does not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Literal

from PIL import Image

from carvid.errors import InputError
from carvid.frame import Frame
from carvid.stream.image_file import UNREADABLE, to_rgb
from carvid.stream.source import Damage, Items, Selection, Source

Player = Literal["video reader", "pages"]

_MILLISECOND = Fraction(1, 1000)

# Magic number, byte order, the offset of the first page's directory, its type; directories count entries of so many
# bytes in the type given last (TIFF 6.0, section 2; BigTIFF).
_TIFF = {
    b"II*\0": ("<", 4, "I", 12, "H"),
    b"MM\0*": (">", 4, "I", 12, "H"),
    b"II+\0": ("<", 8, "Q", 20, "Q"),
    b"MM\0+": (">", 8, "Q", 20, "Q"),
}


def player_of(path: Path) -> Player | None:
    """Who plays an image file: FFmpeg (animated PNG and AVIF), `open_pages` (animated WebP, TIFF); None for stills.

    GIF is not looked at. A file that cannot be read is a still: reading it says what is wrong.
    """
    try:
        with path.open("rb") as file:
            start = file.read(1 << 16)
            if start[:8] == b"\x89PNG\r\n\x1a\n":
                control, data = start.find(b"acTL"), start.find(b"IDAT")
                return "video reader" if control >= 0 and (data < 0 or control < data) else None
            if start[4:12] == b"ftypavis":
                return "video reader"
            if _is_animated_webp(start):
                return "pages"
            if start[:4] in _TIFF:
                order, at, offset_type, entry_size, count_type = _TIFF[start[:4]]
                (first,) = struct.unpack_from(order + offset_type, start, at)
                file.seek(first)
                (count,) = struct.unpack(order + count_type, file.read(struct.calcsize(count_type)))
                file.seek(count * entry_size, 1)
                return "pages" if any(file.read(struct.calcsize(offset_type))) else None
    except (OSError, OverflowError, struct.error):
        return None
    return None


def open_pages(path: Path, selection: Selection) -> Source:
    """An animated WebP or a TIFF of several pages, as a video; of a TIFF the frames have no times.

    Raises InputError when Pillow cannot open it.
    """
    durations = _webp_durations(path)
    count = len(durations)
    if not durations:
        try:
            with Image.open(path) as image:
                count = int(getattr(image, "n_frames", 1))
        except UNREADABLE as error:
            raise InputError(f"{path} cannot be read as an image: {error}") from error
    total = sum(durations)
    return Source(
        kind="video",
        frame_rate=Fraction(1000 * count, total) if total else None,
        time_base=_MILLISECOND if durations else None,
        frames_claimed=count,
        items=_items(path, count, durations, selection),
    )


def _items(path: Path, count: int, durations: Sequence[int], selection: Selection) -> Items:
    starts = [0, *accumulate(durations)]
    try:
        image = Image.open(path)
    except UNREADABLE as error:
        yield Damage(0, None, f"it cannot be read as an image: {error}")
        return count
    with image:
        for index in range(count)[selection.start : selection.stop : selection.every]:
            try:
                image.seek(index)
                picture = to_rgb(image)
            except UNREADABLE as error:
                yield Damage(index, index, f"it cannot be read as an image: {error}")
                continue
            seconds = starts[index] / 1000 if durations else None
            yield Frame(index=index, pts_seconds=seconds, image=picture, name=f"{index:05d}")
    return count


def _is_animated_webp(start: bytes) -> bool:
    return start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and bool(start[20] & 2)


def _webp_durations(path: Path) -> list[int]:
    """Milliseconds of each picture of an animated WebP, by its ANMF chunks; nothing for other files."""
    durations = []
    with path.open("rb") as file:
        if not _is_animated_webp(file.read(30)):
            return []
        file.seek(12)
        while len(header := file.read(8)) == 8:
            (size,) = struct.unpack("<I", header[4:])
            body = file.read(min(size, 16))
            if header[:4] == b"ANMF" and len(body) == 16:
                durations.append(int.from_bytes(body[12:15], "little"))
            # Chunks are padded to an even length.
            file.seek(size + size % 2 - len(body), 1)
    return durations
