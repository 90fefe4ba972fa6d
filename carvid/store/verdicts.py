"""What people say of masks: accepted, rejected, skipped. A verdict holds for the mask that was seen and no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from carvid.errors import UsageError
from carvid.store.checks import COUNT, ID, one_of, table
from carvid.store.database import Dataset
from carvid.store.opening import transaction
from carvid.store.schema import ACCEPTED, REJECTED, SKIPPED
from carvid.store.seen import NEWEST, HandWriter, SeenMask, refuse_stale
from carvid.workers.states import DONE

VERDICTS = (ACCEPTED, REJECTED, SKIPPED)


class Verdicts(HandWriter):
    """Writes verdicts into a dataset."""

    def give(
        self, video_id: int, masks: Sequence[SeenMask], verdict: str | None, *, labelling: int | None = None
    ) -> int:
        """Give a verdict on masks, in place of an earlier one; None takes it back. Returns how many masks.

        Raises RelabelledError as `Corrections.correct_all`, StaleRevisionError if the newest revision of a mask is not
        the one that was seen, UsageError for another verdict and where there is no such mask, OutputError where the
        dataset cannot be written. Nothing is changed then.
        """
        _check(verdict)
        with transaction(self._connection, self._path):
            self._check_labelling(video_id, labelling)
            refuse_stale(self._connection, video_id, masks)
            for seen in masks:
                place = video_id, seen.frame_index, seen.object_id
                if verdict is None:
                    self._connection.execute(
                        "DELETE FROM verdicts WHERE video_id = ? AND frame_index = ? AND object_id = ?", place
                    )
                else:
                    self._connection.execute(
                        "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)",
                        (*place, seen.revision, verdict, _now()),
                    )
        return len(masks)

    def give_stretch(
        self,
        video_id: int,
        object_id: int,
        first: int,
        last: int,
        verdict: str | None,
        *,
        labelling: int | None = None,
    ) -> int:
        """Give a verdict on an object's masks in the frames from `first` to `last`, both included, as they are now.

        Returns how many masks. Raises RelabelledError as `Corrections.correct_all`, UsageError for another verdict and
        where there is no such object with a labelled frame there, OutputError where the dataset cannot be written.
        """
        _check(verdict)
        if last < first:
            raise UsageError(f"the last frame, {last}, comes before the first one, {first}")
        stretch = video_id, first, last, object_id
        there = (
            "FROM frames JOIN objects ON objects.video_id = frames.video_id WHERE frames.video_id = ?"
            " AND frames.frame_index BETWEEN ? AND ? AND objects.object_id = ?"
            " AND EXISTS (SELECT 1 FROM videos WHERE videos.id = frames.video_id AND videos.status = ?)"
        )
        with transaction(self._connection, self._path):
            self._check_labelling(video_id, labelling)
            (count,) = self._connection.execute(f"SELECT count(*) {there}", (*stretch, DONE)).fetchone()
            if not count:
                raise UsageError(
                    f"there is no object {object_id} in frames {first} to {last} of video {video_id}, or they are "
                    "not labelled"
                )
            if verdict is None:
                self._connection.execute(
                    "DELETE FROM verdicts WHERE video_id = ? AND frame_index BETWEEN ? AND ? AND object_id = ?",
                    stretch,
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO verdicts SELECT frames.video_id, frames.frame_index, objects.object_id,"
                    f" {NEWEST}, ?, ? {there}",
                    (verdict, _now(), *stretch, DONE),
                )
        return int(count)


def verdicts_of(dataset: Dataset, video_id: int, frame_index: int) -> dict[tuple[int, int], str]:
    """(object id, revision) -> what was said of that mask, in one frame."""
    columns = table("verdicts", object_id=ID, revision=COUNT, verdict=one_of(*VERDICTS))
    rows = dataset.rows(columns, "verdicts WHERE video_id = ? AND frame_index = ?", (video_id, frame_index))
    return {(number, revision): verdict for number, revision, verdict in rows}


def _check(verdict: str | None) -> None:
    if verdict is not None and verdict not in VERDICTS:
        raise UsageError(f"the verdict is {verdict!r}; expected one of {', '.join(VERDICTS)}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
