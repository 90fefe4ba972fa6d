"""Decoding one stream packet by packet, so that damage is noticed, numbered and left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any

import av.error

from carvid.stream.container import frame_rate, stated_end_seconds
from carvid.stream.display_order import DisplayOrder
from carvid.stream.late_start import LateStart
from carvid.stream.nal_units import hole_finder
from carvid.stream.source import Damage

# Without "explode" FFmpeg paints over what it cannot decode, in several codecs with no flag on the frame.
_ERROR_DETECTION = "crccheck+bitstream+buffer+explode"

# Where seeking by timestamp is exact and gives packets as reading on does; elsewhere packets are read and left out.
_SEEKABLE = ("matroska", "mov")

_INCOMPLETE = "incomplete data"
_HOLE = "zeros where picture data should be"
_UNDECODABLE = "data that does not decode"
_PARTIAL = "data that decodes only in part"

# A header's duration is rounded and may count a little more than the last frame's end.
_SLACK_SECONDS = Fraction(1, 5)
_SLACK_FRAMES = 2


def decode(
    container: Any, stream: Any, order: DisplayOrder[Any], start: LateStart | None = None
) -> Iterator[tuple[int, Any] | Damage]:
    """(ordinal, av.VideoFrame) and Damage in display order; the frames are those that can be trusted.

    A packet that is incomplete, has a hole or does not decode is damage, and so is every later packet up to
    the next key frame: what is drawn from a lost picture is not what the source held. With `start`, frames begin
    there.
    """
    context = stream.codec_context
    context.options = {**context.options, "err_detect": _ERROR_DETECTION}
    # Frame threads would report an error several packets late; slices of one frame may still go in parallel.
    stream.thread_type = "SLICE"
    has_hole = hole_finder(context.name, context.extradata)
    packets = _Packets(container, stream, start)
    waiting_for_key = False
    for packet in packets:
        fault = _INCOMPLETE if packet.is_corrupt else None
        if fault is None and has_hole is not None and has_hole(bytes(packet)):
            fault = _HOLE
        if waiting_for_key and (fault or not packet.is_keyframe):
            order.skipped(packet.pts)
            continue
        waiting_for_key = False
        # A packet marked to be discarded is decoded for the sake of others and gives no frame.
        if not packet.is_discard:
            order.sent(packet.pts)
        frames: list[Any] = []
        if fault is None:
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                fault = _UNDECODABLE
        at = _first_corrupt(frames)
        for frame in frames[:at]:
            yield from order.decoded(frame.pts, frame)
        if at < len(frames):
            yield from order.broken(frames[at].pts, _PARTIAL, _drained(context, frames[at + 1 :]))
            waiting_for_key = True
        elif fault is not None:
            yield from order.broken(packet.pts, fault, _drained(context, []))
            waiting_for_key = True
    drained: list[tuple[int | None, Any]] = []
    if not waiting_for_key:
        drained = yield from _rest(context, order)
    yield from order.finished(packets.cut_short(), drained)


class _Packets:
    """The stream's packets with data, and at their end, why there should have been more."""

    def __init__(self, container: Any, stream: Any, start: LateStart | None) -> None:
        self._container, self._stream, self._start = container, stream, start
        self._end: int | None = None  # in units of the time base
        self._fault: str | None = None

    def __iter__(self) -> Iterator[Any]:
        start = self._start
        if start is None:
            yield from self._all()
            return
        if not self._prime():
            return
        if self._container.format.name.startswith(_SEEKABLE):
            first = start.pts if start.dts is None else min(start.pts, start.dts)
            self._container.seek(first, stream=self._stream)
        packets = self._all()
        for packet in packets:
            if packet.pts == start.pts:
                yield packet
                break
        # What is shown before the key frame leans on what came before it.
        yield from (packet for packet in packets if packet.pts is None or packet.pts > start.pts)

    def _prime(self) -> bool:
        """Show the decoder the first packet, which may hold what is said once for all: parameters, the encoder."""
        context = self._stream.codec_context
        for packet in self._container.demux(self._stream):
            if packet.size:
                try:
                    packet.decode()
                except av.error.FFmpegError:
                    return False
                context.flush_buffers()
                return True
        return False

    def _all(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self._fault = f"the file cannot be read on ({error.strerror})"
                return
            # One without data repeats a picture or ends the stream; the decoder would stop at it.
            if packet.size == 0:
                continue
            self._fault = "the file ends in the middle of a frame" if packet.is_corrupt else None
            if packet.pts is not None and packet.duration:
                self._end = max(self._end or 0, packet.pts + packet.duration)
            yield packet

    def cut_short(self) -> str | None:
        if self._fault is not None:
            return self._fault
        stream = self._stream
        end = None if self._end is None else self._end * Fraction(stream.time_base)
        return falls_short(end, stated_end_seconds(self._container, stream), frame_rate(stream))


def falls_short(end: Fraction | None, stated: Fraction | None, rate: Fraction | None) -> str | None:
    """What is wrong with a stream that ends at `end` seconds, its header saying `stated`; None if nothing."""
    if end is None or stated is None:
        return None
    if end + _SLACK_SECONDS + (_SLACK_FRAMES / rate if rate else 0) >= stated:
        return None
    return f"the file ends at {float(end):.2f} s, its header says {float(stated):.2f} s"


def _drained(context: Any, frames: list[Any]) -> list[tuple[int | None, Any]]:
    """The good ones of `frames` and of those still in the decoder, which is made ready to start anew."""
    # An error here is part of the damage being reported: what else was in the decoder counts as lost.
    with contextlib.suppress(av.error.FFmpegError):
        frames = [*frames, *context.decode(None)]
    context.flush_buffers()
    return [(frame.pts, frame) for frame in frames if not frame.is_corrupt]


def _rest(
    context: Any, order: DisplayOrder[Any]
) -> Generator[tuple[int, Any] | Damage, None, list[tuple[int | None, Any]]]:
    """The frames that were still in the decoder, unless one of them is damaged."""
    try:
        frames = context.decode(None)
    except av.error.FFmpegError:
        yield from order.broken(None, _UNDECODABLE, [])
        return []
    at = _first_corrupt(frames)
    if at == len(frames):
        return [(frame.pts, frame) for frame in frames]
    for frame in frames[:at]:
        yield from order.decoded(frame.pts, frame)
    good = [(frame.pts, frame) for frame in frames[at:] if not frame.is_corrupt]
    yield from order.broken(frames[at].pts, _PARTIAL, good)
    return []


def _first_corrupt(frames: list[Any]) -> int:
    return next((at for at, frame in enumerate(frames) if frame.is_corrupt), len(frames))
