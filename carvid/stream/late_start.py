"""Where decoding may begin for a frame far into a video, found by reading packets without decoding them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import av.error

from carvid.stream.container import open_container
from carvid.stream.nal_units import CODECS, has_whole_frames_only, hole_finder, unit_splitter, unit_type
from carvid.stream.packets import Packets

# Pictures shown before a key frame may be sent after it and lean on what came before it. None of those shown
# after it leans on them, so they can be left out (H.262 6.1.1.11, H.265 8.3.1; MPEG-4 part 2 as H.262).
_OPEN_GROUPS = ("hevc", "mpeg1video", "mpeg2video", "mpeg4")
_CLOSED_GROUPS = ("h264", "vp8", "vp9", "av1", "libdav1d", "libvpx", "libvpx-vp9")

# A packet of MPEG-4 no longer than this may say that nothing is coded, and gives no frame.
_LONGEST_EMPTY_MPEG4 = 19

# Where seeking by timestamp is exact and gives packets as reading on does; elsewhere packets are read and left out.
_SEEKABLE = ("matroska", "mov")

_H264_IDR, _H264_SPS = 5, 7
_HEVC_IDR, _HEVC_CRA, _HEVC_SPS, _HEVC_ENDS = (19, 20), 21, 33, (36, 37)


@dataclass(frozen=True)
class LateStart:
    """A key frame from which all frames shown after it can be decoded.

    pts, dts: its packet's, in units of the stream's time base; dts None where unknown.
    ordinal: its number in display order.
    shown: the timestamps from it up to the wanted frame, or to the last one if the stream ends before.
    largest_step: between the timestamps of two frames shown in a row, up to this one.
    """

    pts: int
    dts: int | None
    ordinal: int
    shown: tuple[int, ...]
    largest_step: int


def late_start(path: Path, wanted: int) -> LateStart | None:
    """The last key frame from which frame `wanted` can be decoded; None where decoding must begin at the first.

    None where the packets do not tell for certain which frame is which: without timestamps or with two that are
    equal, in codecs where a packet need not be a frame, when something changes in mid-stream, and where a
    packet is damaged, so that damage before `wanted` which shows in the packets is still met and reported.
    """
    container, stream = open_container(path)
    with container:
        context = stream.codec_context
        if not (context.name in _OPEN_GROUPS + _CLOSED_GROUPS or context.codec.intra_only):
            return None
        scan = _Scan(wanted, context)
        packets = Packets(container, stream)
        try:
            for packet in packets:
                if packets.incomplete or not scan.take(packet):
                    break
        except _UncertainError:
            return None
        return None if packets.fault or packets.incomplete else scan.found()


def packets_from(start: LateStart, container: Any, stream: Any, packets: Packets) -> Iterator[Any]:
    """The packets to decode from `start` on; none where the decoder does not take the stream's first packet.

    The first one may hold what is said once for all, the parameters or which encoder it was, so the decoder is
    shown it.
    """
    first = next(iter(packets), None)
    try:
        if first is not None:
            first.decode()
    except av.error.FFmpegError:
        return
    stream.codec_context.flush_buffers()
    if container.format.name.startswith(_SEEKABLE):
        container.seek(start.pts if start.dts is None else min(start.pts, start.dts), stream=stream)
    rest = iter(packets)
    for packet in rest:
        if packet.pts == start.pts:
            yield packet
            break
    # What is shown before the key frame leans on what came before it.
    yield from (packet for packet in rest if packet.pts is None or packet.pts > start.pts)


class _UncertainError(Exception):
    """Which packet is which frame cannot be told."""


@dataclass
class _Key:
    pts: int
    dts: int | None
    ordinal: int  # grows with the pictures that are sent after it and shown before it


class _Scan:
    """Packets in the order of decoding, as far as the groups around the wanted frame."""

    def __init__(self, wanted: int, context: Any) -> None:
        self._wanted = wanted
        self._codec: str = context.name
        self._may_lead = self._codec in _OPEN_GROUPS
        self._has_hole = hole_finder(self._codec, context.extradata)
        self._units = _UnitCheck(self._codec, context.extradata) if self._codec in CODECS else None
        self._count = 0
        self._last_pts: int | None = None  # the latest shown so far
        self._keys: list[_Key] = []  # the last two
        self._shown: list[int] = []  # timestamps from the first of the two on, ascending
        self._largest_step = 0  # between those up to the first of the two

    def take(self, packet: Any) -> bool:
        """Whether more packets are needed."""
        if packet.pts is None or _brings_new_parameters(packet, self._last_pts):
            raise _UncertainError
        data = bytes(packet)
        if self._has_hole is not None and self._has_hole(data):
            raise _UncertainError
        starts_anew = packet.is_keyframe and (self._units is None or self._units.starts_anew(data))
        if self._units is not None:
            self._units.check(data)
        is_latest = self._last_pts is None or packet.pts > self._last_pts
        leads = bool(self._keys) and packet.pts < self._keys[-1].pts
        if self._keys and self._keys[-1].ordinal > self._wanted and not leads:
            return False
        if starts_anew and is_latest and not (self._keys and packet.is_discard):
            self._keys = [*self._keys[-1:], _Key(packet.pts, packet.dts, self._count)]
            place = bisect_left(self._shown, self._keys[0].pts)
            self._largest_step = max(self._largest_step, _largest_step(self._shown[: place + 1]))
            self._shown = self._shown[place:]
        elif not self._keys:
            raise _UncertainError
        # Without a key frame before it, whether it is given at all is up to the decoder.
        if leads and not (self._may_lead and len(self._keys) == 2 and packet.pts > self._keys[0].pts):
            raise _UncertainError
        if is_latest:
            self._last_pts = packet.pts
        if packet.is_discard or not makes_frame(self._codec, data):
            return True
        if self._codec == "mpeg4" and packet.size <= _LONGEST_EMPTY_MPEG4:
            raise _UncertainError
        if leads:
            self._keys[-1].ordinal += 1
        place = bisect_left(self._shown, packet.pts)
        if self._shown[place : place + 1] == [packet.pts]:
            raise _UncertainError
        self._shown.insert(place, packet.pts)
        self._count += 1
        return True

    def found(self) -> LateStart | None:
        key = next((key for key in reversed(self._keys) if key.ordinal <= self._wanted), None)
        if key is None or key.ordinal == 0:
            return None
        place = bisect_left(self._shown, key.pts)
        shown = self._shown[place:]
        if shown[:1] != [key.pts]:
            return None
        step = max(self._largest_step, _largest_step(self._shown[: place + 1]))
        return LateStart(key.pts, key.dts, key.ordinal, tuple(shown[: self._wanted - key.ordinal + 1]), step)


class _UnitCheck:
    """What the NAL units of H.264 and H.265 tell. Raises _UncertainError."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = codec
        self._split = unit_splitter(codec, extradata)
        self._sps_type = _H264_SPS if codec == "h264" else _HEVC_SPS
        self._known: bytes | None = None  # where every parameter set must stand
        self._extradata = extradata or b""

    def starts_anew(self, packet: bytes) -> bool:
        types = {unit_type(self._codec, unit) for unit in self._split(packet)}
        if self._codec == "h264":
            return _H264_IDR in types
        return not types.isdisjoint((*_HEVC_IDR, _HEVC_CRA))

    def check(self, packet: bytes) -> None:
        is_first = self._known is None
        if self._known is None:
            self._known = self._extradata + packet
            if self._codec == "h264" and not self._has_whole_frames_only(packet):
                raise _UncertainError
        for unit in self._split(packet):
            kind = unit_type(self._codec, unit)
            if kind == self._sps_type and unit.rstrip(b"\0") not in self._known:
                raise _UncertainError
            if self._codec == "hevc" and (
                kind in _HEVC_ENDS
                # no_output_of_prior_pics_flag: frames that were not shown yet never are.
                or (kind in _HEVC_IDR and not is_first and len(unit) > 2 and unit[2] & 0x40)
            ):
                raise _UncertainError

    def _has_whole_frames_only(self, packet: bytes) -> bool:
        sets = [unit for unit in self._split(packet) if unit_type("h264", unit) == _H264_SPS]
        if self._extradata[:1] == b"\1":  # avcC
            length = int.from_bytes(self._extradata[6:8], "big")
            sets.append(self._extradata[8 : 8 + length])
        return bool(sets) and all(map(has_whole_frames_only, sets))


def _largest_step(shown: list[int]) -> int:
    return max((after - before for before, after in pairwise(shown)), default=0)


def _brings_new_parameters(packet: Any, last_pts: int | None) -> bool:
    # Only newer versions of PyAV tell.
    has: Callable[[str], bool] | None = getattr(packet, "has_sidedata", None)
    return last_pts is not None and has is not None and has("new_extradata")


def makes_frame(codec: str, packet: bytes) -> bool:
    """Whether a packet gives a frame of its own; hidden reference frames of VP8 and VP9 do not."""
    if codec in ("vp8", "libvpx"):
        return bool(packet[0] & 0x10)
    if codec in ("vp9", "libvpx-vp9"):
        is_superframe = packet[-1] & 0xE0 == 0xC0
        return is_superframe or _is_shown_vp9(packet[0])
    return True


def _is_shown_vp9(header: int) -> bool:
    # frame_marker 2 bits, profile 2, (profile 3: reserved,) show_existing_frame, frame_type, show_frame
    if header & 0x30 == 0x30:
        return bool(header & 0x04 or header & 0x01)
    return bool(header & 0x08 or header & 0x02)
