"""A stream's packets as the container holds them, and whether they end too early."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av.error

from carvid.stream.container import frame_rate, stated_end_seconds

# A header's duration is rounded and may count a little more than the last frame's end.
_SLACK_SECONDS = Fraction(1, 5)
_SLACK_FRAMES = 2

# MPEG-TS numbers its pieces; where the numbers jump, FFmpeg marks a packet at most so many before the jump.
_SPLICE_REACH = 2
# A jump in time that a loss of data would hardly make.
_SPLICE_SECONDS = 1


class Packets:
    """The stream's packets with data, and at their end, why there should have been more.

    Iterating again reads on from where the container stands.

    fault: why the file could not be read to its end. incomplete: whether the packet given last lacks data.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._end: int | None = None  # in units of the time base
        self.fault: str | None = None
        self.incomplete = False

    def __iter__(self) -> Iterator[Any]:
        packets = self._read()
        ahead: deque[Any] = deque()
        while packet := ahead.popleft() if ahead else next(packets, None):
            self.incomplete = packet.is_corrupt
            if packet.is_corrupt and self._container.format.name == "mpegts":
                ahead.extend(itertools.islice(packets, max(0, _SPLICE_REACH - len(ahead))))
                self.incomplete = not any(
                    _is_spliced(packet, other, self._stream.time_base) for other in ahead
                )
            if packet.pts is not None and packet.duration:
                self._end = max(self._end or 0, packet.pts + packet.duration)
            yield packet

    def _read(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, IndexError):
                # IndexError: PyAV stumbles, at the end, over streams that were not there at the beginning.
                return
            except av.error.FFmpegError as error:
                self.fault = f"the file cannot be read on ({error.strerror})"
                return
            # One without data repeats a picture or ends the stream; the decoder would stop at it.
            if packet.size:
                yield packet

    def cut_short(self) -> str | None:
        """Why there should have been more; None if nothing says so."""
        if self.fault is not None:
            return self.fault
        if self.incomplete:
            return "the file ends in the middle of a frame"
        stream = self._stream
        end = None if self._end is None else self._end * Fraction(stream.time_base)
        return falls_short(end, stated_end_seconds(self._container, stream), frame_rate(stream))


def _is_spliced(packet: Any, other: Any, time_base: Fraction) -> bool:
    """Whether a packet shortly before `other` is marked as incomplete only because two files were joined there."""
    if packet.dts is None or other.dts is None or not other.is_keyframe:
        return False
    return not 0 <= (other.dts - packet.dts) * time_base < _SPLICE_SECONDS


def falls_short(end: Fraction | None, stated: Fraction | None, rate: Fraction | None) -> str | None:
    """What is wrong with a stream that ends at `end` seconds, its header saying `stated`; None if nothing."""
    if end is None or stated is None:
        return None
    if end + _SLACK_SECONDS + (_SLACK_FRAMES / rate if rate else 0) >= stated:
        return None
    return f"the file ends at {float(end):.2f} s, its header says {float(stated):.2f} s"
