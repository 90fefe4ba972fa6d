"""Decoding one stream packet by packet, so that damage is noticed, numbered and left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

import av.error

from carvid.stream.display_order import DisplayOrder
from carvid.stream.encryption import is_encrypted
from carvid.stream.gif_blocks import is_whole
from carvid.stream.late_start import LateStart, packets_from
from carvid.stream.nal_units import hole_finder
from carvid.stream.packets import Packets
from carvid.stream.source import Damage

# Without "explode" FFmpeg paints over what it cannot decode, in several codecs with no flag on the frame. Not
# "bitstream" besides: it takes the padding of a constant bit rate for an error.
_ERROR_DETECTION = "crccheck+buffer+explode"

# With threads for slices these decoders do not look whether every slice came, and leave green where one did not.
_NEEDS_ONE_THREAD = ("h264", "mpeg1video", "mpeg2video")

_INCOMPLETE = "incomplete data"
_ENCRYPTED = "encrypted data, which cannot be decoded without its key"
_HOLE = "zeros where picture data should be"
_UNDECODABLE = "data that does not decode"
_PARTIAL = "data that decodes only in part"


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
    if context.name in _NEEDS_ONE_THREAD:
        context.thread_count = 1
    has_hole = hole_finder(context.name, context.extradata)
    packets = Packets(container, stream)
    waiting_for_key = False
    for packet in packets if start is None else packets_from(start, container, stream, packets):
        fault: str | None = None
        if is_encrypted(packet):
            fault = _ENCRYPTED
        elif packets.incomplete or (context.name == "gif" and not is_whole(bytes(packet))):
            fault = _INCOMPLETE
        elif has_hole is not None and has_hole(bytes(packet)):
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
