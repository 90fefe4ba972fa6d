"""The iterator of frames a caller holds."""

from __future__ import annotations

from types import TracebackType

from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.stream.read_ahead import ReadAhead
from carvid.stream.source import Damage, Items, StreamInfo


class FrameStream:
    """Frames in display order, read ahead by a thread; a context manager and an iterator.

    One pass: iterating again goes on where the last iteration stopped. The thread starts with the second
    frame asked for and ends with the stream or with `close`. Memory holds the frames read ahead and those of
    the decoder, whatever the length of the source.
    """

    def __init__(
        self, info: StreamInfo, first: Frame, damage: tuple[Damage, ...], rest: Items, read_ahead: int
    ) -> None:
        self._info = info
        self._first: Frame | None = first
        self._damage = list(damage)
        self._rest = rest
        self._read_ahead = read_ahead
        self._ahead: ReadAhead[Frame | Damage] | None = None
        self._frames_read = 0
        self._closed = False

    @property
    def info(self) -> StreamInfo:
        return self._info

    @property
    def damage(self) -> tuple[Damage, ...]:
        """The damage met so far, in order: all that lies before the last frame given; at the end, all of it.

        Only what was read is judged: nothing from stop_frame on, in a folder no image that was left out, and in a
        video, before the key frame where decoding began, only packets that show their damage (see `open_frames`).
        """
        return tuple(self._damage)

    @property
    def frames_read(self) -> int:
        """How many frames were given so far."""
        return self._frames_read

    def __iter__(self) -> FrameStream:
        return self

    def __next__(self) -> Frame:
        """The next frame. Raises InputError at the place of the damage when the stream was opened strict."""
        if self._closed:
            raise UsageError(f"the frame stream of {self._info.name} is closed; open it again to read on")
        if self._first is not None:
            first, self._first = self._first, None
            self._frames_read += 1
            return first
        if self._ahead is None:
            self._ahead = ReadAhead(self._rest, self._read_ahead)
        for item in self._ahead:
            if isinstance(item, Frame):
                self._frames_read += 1
                return item
            self._damage.append(item)
        raise StopIteration

    def close(self) -> None:
        """Stop reading, wait for the thread, close the files. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._first = None
        if self._ahead is None:
            self._rest.close()
        else:
            self._ahead.close()

    def __enter__(self) -> FrameStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
