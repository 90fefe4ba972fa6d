"""The frames of a stretch of a video, exact, forward or backward, a few at a time."""

from __future__ import annotations

from collections.abc import Generator

from carvid.desk.frame_cache import check_source
from carvid.errors import InputError
from carvid.frame import Frame
from carvid.store.rows import Video
from carvid.stream import NoFrameError, open_frames

# Backward, so many frames are read at a time: at 1920x1080, 100 MB of them.
_CHUNK = 16


def frames_of(video: Video, first: int, last: int, *, every: int = 1) -> Generator[Frame, None, None]:
    """The frames of a stretch, `last` included. Raises InputError where the source is not as it was or ends before."""
    check_source(video)
    with open_frames(
        video.source, start_frame=first, stop_frame=last + 1, every=every, read_ahead=2
    ) as frames:
        yield from frames


def frames_back(video: Video, first: int, last: int) -> Generator[Frame, None, None]:
    """The same frames from the last to the first."""
    while last >= first:
        start = max(first, last - _CHUNK + 1)
        try:
            chunk = list(frames_of(video, start, last))
        except NoFrameError as error:
            raise InputError(f"frames {start} to {last} of {video.path} cannot be decoded") from error
        yield from reversed(chunk)
        last = start - 1
