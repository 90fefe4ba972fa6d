"""Opening a video container with PyAV: the right stream, and what the container states about it."""

from __future__ import annotations

import codecs
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Disposition

from carvid.errors import InputError
from carvid.stream.encryption import is_scrambled

# FFmpeg draws text files as video: these are the decoders for it.
_TEXT_ART = ("ansi", "bintext", "idf", "xbin")

# What is read of a file that is no video, to say what it is.
_PROBED_BYTES = 512

UNREADABLE = (av.error.FFmpegError, ValueError, LookupError, RuntimeError)
"""What PyAV raises for what it cannot read: FFmpeg's errors, and its own for values it does not know."""

# Formats whose header tells how long a stream lasts; names as FFmpeg's, or their beginning.
_WITH_DURATION = ("asf", "avi", "flv", "matroska", "mov", "mxf")


def open_container(path: Path) -> tuple[Any, Any]:
    """The opened container and a video stream of it, ready to decode. Raises InputError.

    Of several, one marked as default, of several such the longest, of these the first. A cover picture (an
    attached picture of a music file, a thumbnail) is no video stream.
    """
    try:
        # "file:" keeps FFmpeg from reading a name such as "concat:a|b" or "http:x" as a protocol. Not `options`:
        # PyAV before 17 crashes over those when streams appear late, as in MPEG-PS.
        container = av.open(
            f"file:{path}",
            mode="r",
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except UNREADABLE as error:
        raise InputError(
            f"{path} is not a video FFmpeg can open ({getattr(error, 'strerror', error)}){_why(path)}. "
            "Give a video file or a folder of images"
        ) from error
    try:
        stream = _video_stream(path, container)
    except InputError:
        container.close()
        raise
    return container, stream


def _video_stream(path: Path, container: Any) -> Any:
    videos = [stream for stream in container.streams if stream.type == "video"]
    moving = [stream for stream in videos if not _has(stream, Disposition.attached_pic)]
    if not moving:
        kinds = sorted({stream.type for stream in container.streams} - {"video"})
        found = ["a cover picture"] if videos else []
        found += [f"{kind} streams" for kind in kinds]
        raise InputError(
            f"{path} has no video stream; it holds {' and '.join(found) or 'no stream at all'}{_why(path)}"
        )
    stream = max(moving, key=lambda stream: (_has(stream, Disposition.default), _length(container, stream)))
    tiles = [stream for stream in moving if _has(stream, Disposition.dependent)]
    if len(tiles) > 1 and stream.frames <= 1:
        raise InputError(
            f"{path} is a picture in {len(tiles)} tiles, which are not put together here; save it as PNG or JPEG"
        )
    if stream.codec_context is None:
        raise InputError(
            f"{path} holds video this FFmpeg has no decoder for; convert it, to H.264 for instance"
        )
    if stream.codec_context.name in _TEXT_ART:
        raise InputError(f"{path} is a text file, not a video")
    return stream


def _has(stream: Any, flag: Disposition) -> bool:
    # PyAV gives a plain number in some versions, a flag in others.
    disposition = stream.disposition
    return bool(int(getattr(disposition, "value", disposition)) & flag.value)


def _length(container: Any, stream: Any) -> Fraction:
    """Seconds by the header; 0 where it does not say."""
    end = stated_end_seconds(container, stream)
    return Fraction(0) if end is None else end - _start_seconds(stream)


def _why(path: Path) -> str:
    if is_scrambled(path):
        return ": it is encrypted"
    try:
        with path.open("rb") as file:
            start = file.read(_PROBED_BYTES)
    except OSError:
        return ""
    if text := _text_kind(start):
        return f": it is {text}"
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return ": an mp4 or mov whose end is missing has lost its index and cannot be read"
    return ""


def _text_kind(start: bytes) -> str:
    """What kind of text a file is that begins so; empty for none."""
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, in place of the file itself; `git lfs pull` fetches that"
    try:
        # Not `bytes.decode`: the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return ""
    if not all(each.isprintable() or each.isspace() for each in text):
        return ""
    if re.match(r"\s*<(!doctype html|html|head|body|\?xml)", text, re.IGNORECASE):
        return "a web page, which a download may leave in a video's place; open its address in a browser to see why"
    return "a text file"


def frame_rate(stream: Any) -> Fraction | None:
    """The average over the stream, which holds for variable rates too; None where unknown."""
    rate: Fraction | None = stream.average_rate or stream.base_rate
    return rate or None


def frames_claimed(container: Any, stream: Any) -> int | None:
    """The header's count, or the stream's duration times its frame rate; None where neither is known."""
    if stream.frames > 0:
        return int(stream.frames)
    end, rate = _end_seconds(container, stream), frame_rate(stream)
    if end is None or rate is None:
        return None
    return round((end - _start_seconds(stream)) * rate)


def stated_end_seconds(container: Any, stream: Any) -> Fraction | None:
    """When the stream ends by its header, on the clock of its timestamps; None where it does not say.

    Many formats state no duration, and FFmpeg takes the last timestamp in the file for the end.
    """
    return _end_seconds(container, stream) if container.format.name.startswith(_WITH_DURATION) else None


def _end_seconds(container: Any, stream: Any) -> Fraction | None:
    is_alone = len(container.streams) == 1
    if (
        stream.duration is not None
        and stream.time_base is not None
        # ASF states one duration for all, and sound may outlast the picture.
        and (is_alone or container.format.name != "asf")
    ):
        return _start_seconds(stream) + Fraction(stream.duration) * Fraction(stream.time_base)
    # Matroska: a tag per stream, or the duration of the whole, which is the stream's when it is alone.
    tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = tag.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    if container.duration is not None and is_alone:
        return _start_seconds(stream) + Fraction(container.duration, av.time_base)
    return None


def _start_seconds(stream: Any) -> Fraction:
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return Fraction(stream.start_time) * Fraction(stream.time_base)
