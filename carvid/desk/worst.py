"""Which masks are worth a look first: the ranking of `carvid review`, kept while people work."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import CarvidError
from carvid.review.ranking import DIGITS, SuspectFrame, suspicions
from carvid.store.database import Dataset, open_dataset
from carvid.store.reviewed import correction_counts, touched
from carvid.store.seen import labelling_of

SHOWN = 200
"""How many masks are named at a time."""

# Videos that nobody has opened are ranked when nobody has asked for anything for so long.
_CALM_SECONDS = 1.0
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class RankedVideo:
    """frames: (T,) indices, ascending. objects: their ids, N of them. totals: (T, N) float32 in [0, 1].

    labelling, corrections: of what was ranked: `labelling_of` the video, and `correction_counts` of its frames.
    """

    frames: NDArray[np.int64]
    objects: tuple[int, ...]
    totals: NDArray[np.float32]
    labelling: int
    corrections: Mapping[int, int]


class Ranking:
    """How suspicious each mask is. A video is ranked when it is asked for, the others on a thread while it is calm.

    What has changed since, by whom ever, is seen in the dataset itself.
    """

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._ranked: dict[int, RankedVideo] = {}
        self._damaged: set[tuple[int, int]] = set()
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

    def totals(self, dataset: Dataset, video_id: int) -> dict[int, list[float]] | None:
        """Object id -> its suspicion in each labelled frame, when it was ranked; None while the video is not ranked."""
        found = self._ranked.get(video_id)
        if found is None or found.labelling != labelling_of(dataset, video_id):
            return None
        return {
            number: [round(float(total), DIGITS) for total in found.totals[:, i]]
            for i, number in enumerate(found.objects)
        }

    def of_video(self, video_id: int) -> list[dict[str, Any]]:
        """The most suspicious masks of a video that are not reviewed; ranks it first if it is not ranked."""
        with open_dataset(self._dataset) as dataset:
            return _worst(video_id, self._up_to_date(dataset, video_id), touched(dataset, video_id))

    def of_all(self) -> dict[str, Any]:
        """The most suspicious masks of the videos ranked so far that are not reviewed."""
        found: list[dict[str, Any]] = []
        with open_dataset(self._dataset) as dataset:
            done = [video.id for video in dataset.videos() if video.is_done]
            ranked = [number for number in done if number in self._ranked]
            for number in ranked:
                one = self._up_to_date(dataset, number)
                found += ({"video": number, **row} for row in _worst(number, one, touched(dataset, number)))
        found.sort(key=lambda row: (-row["suspicion"], row["video"], row["frame"]))
        return {"frames": found[:SHOWN], "ranked": len(ranked), "videos": len(done)}

    def _up_to_date(self, dataset: Dataset, video_id: int) -> RankedVideo:
        """The ranking of a video as the dataset has it; of a few frames anew where only these have changed."""
        before, labelling = self._ranked.get(video_id), labelling_of(dataset, video_id)
        corrections = correction_counts(dataset, video_id)
        if before is None or before.labelling != labelling:
            one = _rank(dataset, video_id, labelling, corrections)
        elif before.corrections == corrections:
            return before
        else:
            changed = [
                frame for frame, count in corrections.items() if before.corrections.get(frame) != count
            ]
            one = replace(
                before, totals=_with_changes(dataset, video_id, before, changed), corrections=corrections
            )
        # Two may have done the same at once; either is right.
        self._ranked[video_id] = one
        return one

    def _rank_others(self) -> None:
        with suppress(_EndedError):
            while not self._ended.wait(_CALM_SECONDS):
                for video_id in self._not_ranked():
                    self._rank_one(video_id)

    def _not_ranked(self) -> list[int]:
        # What is wrong with the dataset is told to whoever opens a video.
        with suppress(CarvidError), open_dataset(self._dataset) as dataset:
            return [video.id for video in dataset.videos() if video.is_done and video.id not in self._ranked]
        return []

    def _rank_one(self, video_id: int) -> None:
        # Opened for each video: what is open keeps the database from tidying up.
        with suppress(CarvidError), open_dataset(self._dataset) as dataset:
            labelling = labelling_of(dataset, video_id)
            if (video_id, labelling) in self._damaged:
                return
            try:
                one = _rank(dataset, video_id, labelling, correction_counts(dataset, video_id), self._wait)
            except CarvidError:
                # The others are ranked all the same.
                self._damaged.add((video_id, labelling))
                return
            self._ranked[video_id] = one

    def _wait(self) -> None:
        while time.monotonic() - self._asked < _CALM_SECONDS:
            if self._ended.wait(_PAUSE_SECONDS):
                raise _EndedError
        if self._ended.is_set():
            raise _EndedError


class _EndedError(Exception):
    """The desk is closed while a video is ranked."""


def _rank(
    dataset: Dataset,
    video_id: int,
    labelling: int,
    corrections: Mapping[int, int],
    wait: Callable[[], None] = lambda: None,
) -> RankedVideo:
    """wait: called before each frame."""
    objects = tuple(each.id for each in dataset.objects(video_id))
    frames, totals = [], []
    for frame in suspicions(dataset, video_id):
        wait()
        frames.append(frame.row.frame_index)
        totals.append(_totals(frame))
    return RankedVideo(
        np.array(frames, np.int64),
        objects,
        np.array(totals, np.float32).reshape(len(frames), len(objects)),
        labelling,
        corrections,
    )


def _with_changes(
    dataset: Dataset, video_id: int, one: RankedVideo, changed: Collection[int]
) -> NDArray[np.float32]:
    """The totals once the masks in these frames have changed: theirs, and those of the frames beside them."""
    totals = one.totals.copy()
    for first, last in _runs(one.frames, changed):
        # One more on either side, for these to be compared with.
        before, after = max(0, first - 1), min(last + 1, len(one.frames) - 1)
        around = int(one.frames[before]), int(one.frames[after])
        for place, frame in enumerate(suspicions(dataset, video_id, between=around), before):
            if first <= place <= last:
                totals[place] = _totals(frame)
    return totals


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
