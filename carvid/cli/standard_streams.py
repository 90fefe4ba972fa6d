"""Standard input, output and error, whatever the process was started with: closed, full, or cut off."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from carvid.errors import OutputError


def settle_streams() -> None:
    """Make the standard streams safe to use. To be called before any file is opened.

    A closed stream becomes the null device; otherwise the next file to be opened would get its descriptor, and with it
    whatever is meant for the stream. Writing to standard error never fails: what cannot be written is dropped. Writing
    to standard output raises OutputError if it fails, or BrokenPipeError if its reader has gone, and everything after
    that is dropped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Those below are open, so the system gives the null device this very number.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = _guarded(sys.stdout, 1, "strict", _refuse)
    sys.stderr = _guarded(sys.stderr, 2, "backslashreplace", lambda error: None)


def _refuse(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        raise error
    raise OutputError(
        f"cannot write to standard output: {error.strerror or error}; what was written to files is kept"
    ) from error


def _guarded(
    stream: TextIO | None, descriptor: int, errors: str, failed: Callable[[OSError], None]
) -> TextIO:
    if stream is None:
        stream = os.fdopen(descriptor, "w", errors=errors, closefd=False)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Guarded(stream, failed)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )


class _Guarded(io.RawIOBase):
    """Writes where `stream` does, and calls `failed` for an error; if that raises, everything later is dropped."""

    def __init__(self, stream: io.TextIOWrapper, failed: Callable[[OSError], None]) -> None:
        # Kept, as a stream that is forgotten closes its descriptor.
        self._stream, self._failed, self._is_lost = stream, failed, False
        # Python that runs unbuffered has no buffer between the two.
        self._raw: Any = getattr(stream.buffer, "raw", stream.buffer)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, data: Any) -> int:
        if self._is_lost:
            return len(data)
        try:
            written: int | None = self._raw.write(data)
            if written is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            return written
        except OSError as error:
            self._is_lost = True
            self._failed(error)
            self._is_lost = False
            return len(data)
