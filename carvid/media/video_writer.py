"""Writing RGB frames to an H.264 file."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from io import BufferedWriter
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


class VideoWriter:
    """Writes RGB frames to an H.264 mp4 (libx264, yuv420p, BT.709) with a constant, exact frame rate.

    The file is written under a temporary name in `path`'s folder and moved to `path` when the writer is left
    without an exception; otherwise it is removed, and `path` stays as it was. A writer that got no frame
    makes no file. If the height or width is odd, the last row or column is repeated, as 4:2:0 needs even
    sides.

    Args:
        path: the file, replaced if it exists.
        frame_rate: frames per second, kept as this fraction.

    Raises:
        UsageError: if the frame rate is not positive, or PyAV has no libx264.
    """

    def __init__(self, path: Path, frame_rate: Fraction) -> None:
        if frame_rate <= 0:
            raise UsageError(f"a frame rate is positive, not {frame_rate}")
        if "libx264" not in av.codecs_available:
            raise UsageError(
                "this PyAV has no libx264 to write H.264 with; "
                "install PyAV from its wheels, or write no overlay (--no-overlay)"
            )
        self.path = path
        self.frame_rate = frame_rate
        self.frames = 0
        self._replacement = Replacement(path)
        self._file: BufferedWriter | None = None
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

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB in [0, 255], of the first frame's size.

        Raises:
            UsageError: if it has another size.
            OutputError: if it cannot be encoded or written.
        """
        if self._file is None:
            self._open(image)
        if image.shape != self._shape:
            raise UsageError(f"frame of shape {image.shape} in a video of shape {self._shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pad_to_even(image)), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
        frame.pts = self.frames
        frame.time_base = 1 / self.frame_rate
        self._mux(frame)
        self.frames += 1

    def _open(self, image: NDArray[np.uint8]) -> None:
        with output_errors(self.path):
            # A Python file, which raises an error of its last flush; FFmpeg would drop it when closing its own.
            self._file = self._replacement.temporary.open("wb")
        self._container = av.open(self._file, "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=self.frame_rate)
        self._shape = image.shape
        self._stream.height = image.shape[0] + image.shape[0] % 2
        self._stream.width = image.shape[1] + image.shape[1] % 2
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
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
