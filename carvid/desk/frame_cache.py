"""Frames by index as JPEG, exact, with the last ones kept: stepping reads on where the frame before was read."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.serve.answers import NotFoundError
from carvid.store.rows import Video
from carvid.stream import FrameStream, NoFrameError, open_frames
from carvid.stream.identity import source_size

KEPT_BYTES = 256 << 20
"""How much the pictures that are kept may take."""

# So many frames ahead are read on to rather than looked up anew; as many are read before one that is gone back to.
_REACH = 24
# Open sources of one video: going to and fro between two places opens nothing. Videos that have open sources.
_STREAMS, _VIDEOS = 2, 4
_QUALITY = 92


@dataclass
class _Reader:
    """A source that is read on from `next_index`."""

    stream: FrameStream
    next_index: int


@dataclass
class _Player:
    """One video's readers, the one used last at the end. asked: the frame asked for last."""

    lock: Lock = field(default_factory=Lock)
    readers: list[_Reader] = field(default_factory=list)
    asked: int = -1


class FrameCache:
    """JPEG pictures of any frames of any videos; threads may share it."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._pictures: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._size = 0
        self._players: OrderedDict[int, _Player] = OrderedDict()

    def picture(self, video: Video, index: int) -> bytes:
        """Frame `index` of the video's source, upright, as JPEG.

        Raises NotFoundError where the source has no such frame, InputError where it cannot be read or is not the one
        that was labelled.
        """
        if (found := self._kept(video.id, index)) is not None:
            return found
        player = self._player(video.id)
        with player.lock:
            # Another thread may have read it meanwhile.
            found = self._kept(video.id, index)
            if found is None:
                found = self._read(player, video, index)
            player.asked = index
            return found

    def close(self) -> None:
        """Close the sources."""
        with self._lock:
            players = list(self._players.values())
            self._players.clear()
        for player in players:
            _close(player)

    def _kept(self, video_id: int, index: int) -> bytes | None:
        with self._lock:
            found = self._pictures.get((video_id, index))
            if found is not None:
                self._pictures.move_to_end((video_id, index))
            return found

    def _keep(self, video_id: int, index: int, picture: bytes) -> None:
        with self._lock:
            self._size += len(picture) - len(self._pictures.pop((video_id, index), b""))
            self._pictures[video_id, index] = picture
            while self._size > self._kept_bytes and len(self._pictures) > 1:
                self._size -= len(self._pictures.popitem(last=False)[1])

    def _player(self, video_id: int) -> _Player:
        with self._lock:
            player = self._players.setdefault(video_id, _Player())
            self._players.move_to_end(video_id)
            gone = self._players.popitem(last=False)[1] if len(self._players) > _VIDEOS else None
        if gone is not None:
            _close(gone)
        return player

    def _read(self, player: _Player, video: Video, index: int) -> bytes:
        """Read up to the frame, and keep what is passed on the way."""
        reader = _nearest(player, index)
        if reader is None:
            goes_back = 0 < player.asked - index <= _REACH
            reader = _open(video, max(video.start_frame, index - _REACH + 1) if goes_back else index)
            player.readers.append(reader)
            for old in player.readers[:-_STREAMS]:
                old.stream.close()
            del player.readers[:-_STREAMS]
        for frame in reader.stream:
            reader.next_index = frame.index + 1
            picture = self._kept(video.id, frame.index)
            if picture is None:
                picture = encode_jpeg(frame.image)
                self._keep(video.id, frame.index, picture)
            if frame.index == index:
                return picture
            if frame.index > index:
                raise NotFoundError(
                    f"frame {index} of {video.path} cannot be decoded: the source is damaged there"
                )
        player.readers.remove(reader)
        reader.stream.close()
        raise NotFoundError(f"{video.path} ends before frame {index}")


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) uint8 RGB as JPEG, its colours at full resolution."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return code.tobytes()


def check_source(video: Video) -> None:
    """Raise InputError unless the video's source is there and has the size that it had when it was labelled."""
    path = Path(video.source)
    if not path.exists():
        raise InputError(
            f"the source of video {video.id} is not there: {path}; bring it back, or tell `carvid annotate` with "
            "--moved where it is"
        )
    size = source_size(path)
    if video.size_bytes is not None and size != video.size_bytes:
        raise InputError(
            f"{path} has {size} bytes; it had {video.size_bytes} when video {video.id} was labelled; bring the old "
            "file back or label the video again"
        )


def _nearest(player: _Player, index: int) -> _Reader | None:
    """The reader that gets to the frame soonest, put at the end; None if none is near before it."""
    near = [each for each in player.readers if 0 <= index - each.next_index <= _REACH]
    if not near:
        return None
    best = max(near, key=lambda each: each.next_index)
    player.readers.remove(best)
    player.readers.append(best)
    return best


def _open(video: Video, index: int) -> _Reader:
    check_source(video)
    try:
        stream = open_frames(video.source, start_frame=index, stop_frame=video.stop_frame, read_ahead=2)
    except NoFrameError as error:
        raise NotFoundError(f"{video.path} has no frame {index}: {error}") from error
    return _Reader(stream, index)


def _close(player: _Player) -> None:
    with player.lock:
        for reader in player.readers:
            reader.stream.close()
        player.readers.clear()
