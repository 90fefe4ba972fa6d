"""Writing RGB frames to an H.264 file."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from carvid.errors import OutputError, UsageError
from carvid.media.paint import pad_to_even
from carvid.media.whole_file import Replacement, output_errors

_BT709 = 1
"""ITU-T H.273's code for BT.709 as matrix, primaries and transfer; also FFmpeg's for limited range."""

_TICKS_PER_SECOND = 90_000
"""At least; timestamps are kept to one of these."""

_MOST_TICKS = 2**30
"""The longest a frame can be shown, over three hours: FFmpeg does not read much longer ones from an mp4."""

_SNAP_SECONDS = Fraction(1, 1000)
"""Containers that count milliseconds round the timestamps of a constant rate by up to this much."""


class VideoWriter:
    """Writes RGB frames to an H.264 mp4 (libx264, yuv420p, BT.709) that begins with its index, for players on the web.

    If the first frame has a timestamp, frames are shown at theirs, counted from the first; one that lies within
    a millisecond of the frame rate's grid lies on it exactly, so that a constant rate stays one. A frame whose
    timestamp does not come after the one before is shown right after it. Without timestamps the rate is
    constant and exact.

    The file is written under a temporary name in `path`'s folder and moved to `path` when the writer is left
    without an exception; otherwise it is removed, and `path` stays as it was. A writer that got no frame
    makes no file. If the height or width is odd, the last row or column is repeated, as 4:2:0 needs even
    sides.

    Args:
        path: the file, replaced if it exists.
        frame_rate: frames per second, kept as this fraction.
        pixel_aspect: a pixel's width by its height; players scale the frames by it.

    Raises:
        UsageError: if the frame rate or the pixel aspect is not positive, or PyAV has no libx264.
    """

    def __init__(self, path: Path, frame_rate: Fraction, *, pixel_aspect: Fraction = Fraction(1)) -> None:
        if frame_rate <= 0:
            raise UsageError(f"a frame rate is positive, not {frame_rate}")
        if pixel_aspect <= 0:
            raise UsageError(f"a pixel aspect is positive, not {pixel_aspect}")
        if "libx264" not in av.codecs_available:
            raise UsageError(
                "this PyAV has no libx264 to write H.264 with; "
                "install PyAV from its wheels, or write no overlay (--no-overlay)"
            )
        self.path = path
        self.frame_rate = frame_rate
        self.pixel_aspect = pixel_aspect
        self.frames = 0
        self._clock: _Clock | None = None
        self._replacement = Replacement(path)
        self._file: _File | None = None
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            if error is None:
                self._finish()
                self._replacement.commit()
        finally:
            # Closing frees FFmpeg's memory. It also writes what is left, which may fail as the frames did; after
            # `_finish` nothing is left to write.
            if self._container is not None:
                with suppress(OSError, av.FFmpegError):
                    self._container.close()
            with suppress(OSError):
                self._file.close()
            self._replacement.discard()

    def write(self, image: NDArray[np.uint8], seconds: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB in [0, 255], of the first frame's size.
            seconds: its timestamp.

        Raises:
            UsageError: if it has another size.
            OutputError: if it cannot be encoded or written.
        """
        if self._file is None:
            self._clock = None if seconds is None else _Clock(self.frame_rate, seconds)
            self._open(image)
        if image.shape != self._shape:
            raise UsageError(f"frame of shape {image.shape} in a video of shape {self._shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pad_to_even(image)), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
        if self._clock is None:
            frame.pts = self.frames
            frame.time_base = 1 / self.frame_rate
        else:
            frame.pts = self._clock.ticks(seconds)
            frame.time_base = self._clock.time_base
            frame.duration = self._clock.period
        self._mux(frame)
        self.frames += 1

    def _open(self, image: NDArray[np.uint8]) -> None:
        with output_errors(self.path):
            self._file = _File(self._replacement.temporary)
        self._container = av.open(self._file, "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=self.frame_rate)
        self._shape = image.shape
        self._stream.height = image.shape[0] + image.shape[0] % 2
        self._stream.width = image.shape[1] + image.shape[1] % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        if self._clock is not None:
            context.time_base = self._clock.time_base
            # A frame that is decoded early has its neighbour's duration, so the last ones' would be lost.
            context.max_b_frames = 0
        if self.pixel_aspect != 1:
            context.sample_aspect_ratio = self.pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = _BT709

    def _mux(self, frame: Any) -> None:
        with output_errors(self.path):
            try:
                for packet in self._stream.encode(frame):
                    self._container.mux(packet)
            except av.FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                height, width = self._shape[:2]
                raise OutputError(
                    f"cannot encode {width}x{height} frames as H.264 into {self.path}: {error}; "
                    "scale the source down or write no overlay (--no-overlay)"
                ) from error

    def _finish(self) -> None:
        if self._file is None:
            return
        self._mux(None)
        with output_errors(self.path):
            self._container.close()
            self._file.close()


class _Clock:
    """Timestamps in ticks, of which a period of the frame rate is a whole number; they ascend."""

    def __init__(self, frame_rate: Fraction, first_seconds: float) -> None:
        self.period = frame_rate.denominator * -(-_TICKS_PER_SECOND // frame_rate.numerator)
        self.time_base = 1 / (frame_rate * self.period)
        self._frame_rate = frame_rate
        self._first = Fraction(first_seconds)
        self._last = -self.period

    def ticks(self, seconds: float | None) -> int:
        self._last = min(max(self._wanted(seconds), self._last + 1), self._last + _MOST_TICKS)
        return self._last

    def _wanted(self, seconds: float | None) -> int:
        if seconds is None:
            return self._last + self.period
        since = Fraction(seconds) - self._first
        frames = round(since * self._frame_rate)
        on_grid = frames * self.period
        if abs(since - frames / self._frame_rate) <= _SNAP_SECONDS and on_grid > self._last:
            return on_grid
        return round(since / self.time_base)


class _File:
    """A file of Python's for FFmpeg to write: an error is raised, whereas FFmpeg loses its own when closing.

    Nothing is buffered, as FFmpeg reads the file again, by its name, to put the index in front.
    """

    def __init__(self, path: Path) -> None:
        # The scheme says that a colon in the path is part of it.
        self.name = f"file:{path}"
        self._file = path.open("wb", buffering=0)
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)
