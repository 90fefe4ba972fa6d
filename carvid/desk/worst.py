"""Which masks are worth a look first: the ranking of `carvid review`, kept while people work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import CarvidError
from carvid.review.ranking import DIGITS, SuspectFrame, suspicions
from carvid.store.database import Dataset, open_dataset
from carvid.store.reviewed import touched

SHOWN = 200
"""How many masks are named at a time."""

# Videos that nobody has opened are ranked when nobody has asked for anything for so long.
_CALM_SECONDS = 1.0
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class RankedVideo:
    """frames: (T,) indices, ascending. objects: their ids, N of them. totals: (T, N) float32 in [0, 1]."""

    frames: NDArray[np.int64]
    objects: tuple[int, ...]
    totals: NDArray[np.float32]


class Ranking:
    """How suspicious each mask is. A video is ranked when it is asked for, the others on a thread while it is calm."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._lock = Lock()
        self._ranked: dict[int, RankedVideo] = {}
        self._stale: defaultdict[int, set[int]] = defaultdict(set)
        self._asked = 0.0
        self._ended = Event()
        self._thread = Thread(target=self._rank_others, name="carvid-ranking", daemon=True)

    def start(self) -> None:
        """Begin to rank the videos that nobody has opened."""
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def asked(self) -> None:
        """Somebody waits for something: the ranking of other videos waits."""
        self._asked = time.monotonic()

    def is_ranked(self, video_id: int) -> bool:
        return video_id in self._ranked

    def totals(self, video_id: int) -> dict[int, list[float]] | None:
        """Object id -> its suspicion in each labelled frame; None while the video is not ranked."""
        found = self._ranked.get(video_id)
        if found is None:
            return None
        return {
            number: [round(float(total), DIGITS) for total in found.totals[:, i]]
            for i, number in enumerate(found.objects)
        }

    def of_video(self, video_id: int) -> list[dict[str, Any]]:
        """The most suspicious masks of a video that are not reviewed; ranks it first if it is not ranked."""
        with open_dataset(self._dataset) as dataset:
            if video_id not in self._ranked:
                self._rank(dataset, video_id, lambda: None)
            self._refresh(dataset, video_id)
            return _worst(video_id, self._ranked[video_id], touched(dataset, video_id))

    def of_all(self) -> dict[str, Any]:
        """The most suspicious masks of the videos ranked so far that are not reviewed."""
        ranked = dict(self._ranked)
        with open_dataset(self._dataset) as dataset:
            for video_id in ranked:
                self._refresh(dataset, video_id)
            videos = sum(1 for video in dataset.videos() if video.is_done)
            found = [
                {"video": video_id, **row}
                for video_id, one in ranked.items()
                for row in _worst(video_id, one, touched(dataset, video_id))
            ]
        found.sort(key=lambda row: (-row["suspicion"], row["video"], row["frame"]))
        return {"frames": found[:SHOWN], "ranked": len(ranked), "videos": videos}

    def changed(self, video_id: int, frames: Collection[int]) -> None:
        """Masks in these frames have changed: they and those beside them are ranked again before the next answer."""
        with self._lock:
            self._stale[video_id].update(frames)

    def _refresh(self, dataset: Dataset, video_id: int) -> None:
        with self._lock:
            one, stale = self._ranked[video_id], self._stale.pop(video_id, ())
            last_place = len(one.frames) - 1
            for first, last in _runs(one.frames, stale):
                # One more on either side, for these to be compared with.
                before, after = max(0, first - 1), min(last + 1, last_place)
                around = int(one.frames[before]), int(one.frames[after])
                for place, frame in enumerate(suspicions(dataset, video_id, between=around), before):
                    if first <= place <= last:
                        one.totals[place] = _totals(frame)

    def _rank(self, dataset: Dataset, video_id: int, wait: Callable[[], None]) -> None:
        objects = tuple(each.id for each in dataset.objects(video_id))
        frames, totals = [], []
        for frame in suspicions(dataset, video_id):
            wait()
            frames.append(frame.row.frame_index)
            totals.append(_totals(frame))
        ranked = RankedVideo(
            np.array(frames, np.int64),
            objects,
            np.array(totals, np.float32).reshape(len(frames), len(objects)),
        )
        with self._lock:
            self._ranked[video_id] = ranked

    def _rank_others(self) -> None:
        # What is wrong with the dataset is told to whoever opens a video.
        try:
            while not self._ended.wait(_CALM_SECONDS):
                with open_dataset(self._dataset) as dataset:
                    for video in dataset.videos():
                        if video.is_done and video.id not in self._ranked:
                            self._rank(dataset, video.id, self._wait)
        except (CarvidError, _EndedError):
            return

    def _wait(self) -> None:
        while time.monotonic() - self._asked < _CALM_SECONDS:
            if self._ended.wait(_PAUSE_SECONDS):
                raise _EndedError
        if self._ended.is_set():
            raise _EndedError


class _EndedError(Exception):
    """The desk is closed while a video is ranked."""


def _totals(frame: SuspectFrame) -> list[float]:
    return [one.total for one in frame.suspicions]


def _worst(video_id: int, one: RankedVideo, reviewed: Collection[tuple[int, int]]) -> list[dict[str, Any]]:
    """The masks of a video that are not reviewed, the most suspicious first; of equals the earlier one."""
    found: list[dict[str, Any]] = []
    order = np.argsort(-one.totals, axis=None, kind="stable")
    for place in order.tolist():
        frame, number = divmod(place, len(one.objects))
        mask = int(one.frames[frame]), one.objects[number]
        if mask not in reviewed:
            total = round(float(one.totals[frame, number]), DIGITS)
            found.append({"frame": mask[0], "object": mask[1], "suspicion": total})
        if len(found) == SHOWN:
            break
    return found


def _runs(frames: NDArray[np.int64], changed: Collection[int]) -> Iterator[tuple[int, int]]:
    """Runs of places, first and last, of the changed frames with those beside them."""
    near = {
        place
        for found in np.searchsorted(frames, sorted(changed)).tolist()
        for place in (found - 1, found, found + 1)
        if 0 <= place < len(frames)
    }
    places = sorted(near)
    first = 0
    for i, place in enumerate(places):
        if i + 1 == len(places) or places[i + 1] != place + 1:
            yield places[first], place
            first = i + 1
