"""What a person writes into a dataset: about masks as they saw them, by revision, so that no change is lost unseen."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from carvid.errors import UsageError
from carvid.store.checks import COUNT, table
from carvid.store.database import Dataset, existing_database
from carvid.store.opening import open_writable
from carvid.workers.states import DONE

NEWEST = (
    "ifnull((SELECT max(newest.revision) FROM annotations AS newest WHERE newest.video_id = frames.video_id"
    " AND newest.frame_index = frames.frame_index AND newest.object_id = objects.object_id AND newest.revision > 0"
    " AND newest.query_id = objects.query_id AND newest.width = frames.width AND newest.height = frames.height), 0)"
)
"""In a query on frames and objects: the newest revision of the object's mask in the frame."""


@dataclass(frozen=True)
class SeenMask:
    """A mask of an object in a frame. revision: `Annotation.revision` when it was seen."""

    frame_index: int
    object_id: int
    revision: int

    def of(self, video_id: int) -> str:
        return f"object {self.object_id} in frame {self.frame_index} of video {video_id}"


def labelling_of(dataset: Dataset, video_id: int) -> int:
    """How often a video has been labelled: what was seen of it before is not what is there now."""
    columns = table("labellings", number=COUNT)
    return next(
        (number for (number,) in dataset.rows(columns, "labellings WHERE video_id = ?", (video_id,))), 0
    )


@dataclass(frozen=True)
class StoredMask:
    """What a mask must agree with: its frame's size in px, its object's query, and the newest revision."""

    width: int
    height: int
    query_id: int
    revision: int


class StaleRevisionError(UsageError):
    """Masks were changed after they were seen (exit code 2). stale: as they were seen."""

    def __init__(self, message: str, stale: Sequence[SeenMask]) -> None:
        super().__init__(message)
        self.stale = tuple(stale)


class RelabelledError(UsageError):
    """A video was labelled anew after it was seen (exit code 2). labelling: as of now."""

    def __init__(self, message: str, labelling: int) -> None:
        super().__init__(message)
        self.labelling = labelling


class HandWriter:
    """Writes what a person says into a dataset; a context manager. Others may read and label meanwhile."""

    def __init__(self, dataset: str | os.PathLike[str]) -> None:
        """Raises InputError where there is no dataset, OutputError where it cannot be written."""
        self._path = existing_database(Path(dataset))
        self._connection = open_writable(self._path)
        # What a person has done must outlive a loss of power, too.
        self._connection.execute("PRAGMA synchronous = FULL")

    def _check_labelling(self, video_id: int, labelling: int | None) -> None:
        """Raise RelabelledError unless it is the one of now, or None."""
        now = labelling_of(Dataset(self._path.parent, self._connection), video_id)
        if labelling not in (None, now):
            raise RelabelledError(
                f"video {video_id} was labelled anew after it was read; read it again and correct what is there now",
                now,
            )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self: Writer) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Writer = TypeVar("Writer", bound=HandWriter)


def find_mask(connection: sqlite3.Connection, video_id: int, seen: SeenMask) -> StoredMask:
    """What is there now. Raises UsageError if there is no such object in such a labelled frame."""
    row = connection.execute(
        f"SELECT frames.width, frames.height, objects.query_id, {NEWEST}"
        " FROM videos JOIN frames ON frames.video_id = videos.id JOIN objects ON objects.video_id = videos.id"
        " WHERE videos.id = ? AND videos.status = ? AND frames.frame_index = ? AND objects.object_id = ?",
        (video_id, DONE, seen.frame_index, seen.object_id),
    ).fetchone()
    if row is None:
        raise UsageError(f"there is no {seen.of(video_id)}, or it is not labelled")
    return StoredMask(*row)


def refuse_stale(
    connection: sqlite3.Connection, video_id: int, masks: Sequence[SeenMask]
) -> list[StoredMask]:
    """What is there now, in the order of the masks.

    Raises StaleRevisionError if the newest revision of any of them is not the one that was seen, UsageError as
    `find_mask`, and for a mask that is there twice.
    """
    stale, found = [], []
    places = set()
    for seen in masks:
        place = seen.frame_index, seen.object_id
        if place in places:
            raise UsageError(f"{seen.of(video_id)} is there twice; give each mask once")
        places.add(place)
        found.append(find_mask(connection, video_id, seen))
        if found[-1].revision != seen.revision:
            stale.append((seen, found[-1].revision))
    if stale:
        seen, newest = stale[0]
        more = f", and {len(stale) - 1} more are stale" if len(stale) > 1 else ""
        raise StaleRevisionError(
            f"{seen.of(video_id)} is at revision {newest}, not {seen.revision}{more}: it was changed after "
            "it was read; read it again and correct what is there now",
            [each for each, _ in stale],
        )
    return found
