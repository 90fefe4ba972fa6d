"""Turns of pieces of videos, and the joining of a video whose pieces are done."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path

from carvid.store.checks import COUNT, ID, SIDE_PX, TEXT, check, one_of, or_null, table
from carvid.store.cut import Cut
from carvid.store.ledger import Ledger, discard_labels, record, tally
from carvid.store.opening import database_errors
from carvid.store.rows import Video
from carvid.store.task import Outcome, Task, as_text
from carvid.stream.source import Damage, Selection
from carvid.workers.states import DONE, FAILED, RUNNING, WAITING

# In the order of the fields of `_Piece`.
_COLUMNS = table(
    "pieces",
    video_id=ID,
    number=COUNT,
    status=one_of(RUNNING, DONE, FAILED),
    error=or_null(TEXT),
    is_last=or_null(COUNT),
    sha256=or_null(TEXT),
    size_bytes=or_null(COUNT),
    width=or_null(SIDE_PX),
    height=or_null(SIDE_PX),
    frame_rate=or_null(TEXT),
    frame_count=or_null(COUNT),
    damage=TEXT,
)


@dataclass(frozen=True)
class _Piece:
    """A piece that is being labelled, is labelled or could not be labelled."""

    video_id: int
    number: int
    status: str
    error: str | None
    is_last: int | None
    sha256: str | None
    size_bytes: int | None
    width: int | None
    height: int | None
    frame_rate: str | None
    frame_count: int | None
    damage: str

    @property
    def is_end(self) -> bool:
        """Whether what comes after it does not matter."""
        return self.status == FAILED or bool(self.is_last)


class Pieces:
    """The tasks of a dataset whose videos are labelled in pieces; see `carvid.store.turns.Turns`.

    A piece's labels enter the dataset when it is done; readers see them once the video is done. A video ends in the
    first piece that comes out short, so pieces may be labelled that turn out to lie behind the end. Nothing of those
    counts, neither labels nor failures.
    """

    def __init__(self, ledger: Ledger, frames: int, every: int) -> None:
        """frames: how many labelled frames a piece has. every: which frames are labelled, as in `Selection`."""
        self._ledger, self._cut, self._every = ledger, Cut(frames), every

    def claim(self, lease_seconds: float) -> Task | None:
        """Take the lease of a piece; None if there is none now.

        Pieces that are known to be needed come first, then videos that wait, then pieces that may lie behind the end.
        """
        with self._ledger.transaction() as connection:
            turn = self._next(connection)
            if turn is None:
                return None
            video, number = turn
            connection.execute(
                "INSERT INTO pieces (video_id, number, status, lease_owner, lease_expires)"
                " VALUES (?, ?, ?, ?, ?)",
                (video.id, number, RUNNING, self._ledger.owner, time.time() + lease_seconds),
            )
            tally(connection)
            return self._ledger.task(video, number)

    def waiting(self, most: int) -> int:
        """How many pieces could be claimed now; at most so many."""
        with database_errors(self._ledger.path):
            begun = self._begun(self._ledger.connection)
            fresh = self._ledger.counts()[WAITING] - sum(video.status == WAITING for video, _ in begun)
            return min(most, fresh + sum(len(self._free(*each, most)) for each in begun))

    def renew(self, lease_seconds: float, frames: Mapping[Task, int]) -> set[Task]:
        """Extend the leases this process holds; returns the pieces whose lease is lost, as when their video has failed.

        frames: labelled so far.
        """
        expires = time.time() + lease_seconds
        with self._ledger.transaction() as connection:
            lost = {
                task
                for task, count in frames.items()
                if not self._update(connection, task, lease_expires=expires, frame_count=count)
            }
            tally(connection)
        return lost

    def commit(self, task: Task, staged: Path, outcome: Outcome) -> bool:
        """Merge a worker's closed file: the piece is done, and the video if it was the last that was missing.

        False, with no change, if the lease is lost.
        """
        damage = [Damage(**stretch) for stretch in outcome.damage]
        with self._ledger.merging(staged) as connection:
            changed = self._update(
                connection,
                task,
                status=DONE,
                error=None if outcome.no_frame is None else as_text(outcome.no_frame),
                is_last=self._cut.is_last(self._whole(task), _number(task), outcome.frame_count, damage),
                sha256=outcome.sha256,
                size_bytes=outcome.size_bytes,
                width=outcome.width,
                height=outcome.height,
                frame_rate=outcome.frame_rate,
                frame_count=outcome.frame_count,
                damage=json.dumps([dict(stretch) for stretch in outcome.damage]),
                lease_owner=None,
                lease_expires=None,
            )
            if changed:
                connection.execute("INSERT INTO main.frames SELECT * FROM staged.frames")
                connection.execute("INSERT INTO main.annotations SELECT * FROM staged.annotations")
                # Each piece has the same objects.
                connection.execute("INSERT OR IGNORE INTO main.objects SELECT * FROM staged.objects")
                self._settle(connection, task)
        return changed

    def fail(self, task: Task, error: str) -> bool:
        """Record why a piece cannot be labelled; False if the lease is lost.

        The video has failed once every piece before it is labelled, none of them being the last.
        """
        with self._ledger.transaction() as connection:
            changed = self._update(
                connection, task, status=FAILED, error=as_text(error), lease_owner=None, lease_expires=None
            )
            if changed:
                self._settle(connection, task)
        return changed

    def release(self, task: Task) -> bool:
        """Let a piece wait for another worker; False if the lease is lost."""
        with self._ledger.transaction() as connection:
            changed = connection.execute(
                "DELETE FROM pieces WHERE video_id = ? AND number = ? AND status = ? AND lease_owner = ?",
                (task.video_id, task.piece, RUNNING, self._ledger.owner),
            ).rowcount
            tally(connection)
        return bool(changed)

    def labelled(self, video_id: int) -> int:
        """How many frames the pieces of a video have that are done."""
        with database_errors(self._ledger.path):
            (count,) = self._ledger.connection.execute(
                "SELECT sum(frame_count) FROM pieces WHERE video_id = ? AND status = ?", (video_id, DONE)
            ).fetchone()
        return int(count or 0)

    def _whole(self, of: Video | Task) -> Selection:
        return Selection(of.start_frame, of.stop_frame, self._every)

    def _update(self, connection: sqlite3.Connection, task: Task, **values: object) -> bool:
        """Set these columns of a piece; False if the lease is lost."""
        return bool(
            connection.execute(
                f"UPDATE pieces SET {' = ?, '.join(values)} = ? WHERE video_id = ? AND number = ? AND status = ?"
                " AND lease_owner = ?",
                (*values.values(), task.video_id, task.piece, RUNNING, self._ledger.owner),
            ).rowcount
        )

    def _begun(self, connection: sqlite3.Connection) -> list[tuple[Video, list[_Piece]]]:
        """The videos of which there are pieces, each with these, by number."""
        found = []
        for video_id, pieces in groupby(self._pieces(connection, "1", ()), key=lambda piece: piece.video_id):
            video = self._ledger.dataset.video(video_id)
            if video is not None:
                found.append((video, list(pieces)))
        return found

    def _pieces(self, connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> list[_Piece]:
        rows = connection.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM pieces WHERE {where} ORDER BY video_id, number", values
        ).fetchall()
        for row in rows:
            check(self._ledger.path, _COLUMNS, row)
        return [_Piece(*row) for row in rows]

    def _next(self, connection: sqlite3.Connection) -> tuple[Video, int] | None:
        """Whose turn it is: a video and a piece of it."""
        begun = self._begun(connection)
        perhaps: tuple[Video, int] | None = None
        for video, pieces in begun:
            for number in self._free(video, pieces, 1):
                if _is_needed(number, pieces):
                    return video, number
                perhaps = perhaps or (video, number)
        ids = {video.id for video, _ in begun}
        fresh = next((video for video in self._ledger.dataset.videos(WAITING) if video.id not in ids), None)
        return perhaps if fresh is None else (fresh, 0)

    def _free(self, video: Video, pieces: Sequence[_Piece], most: int) -> list[int]:
        """The first pieces of a video, at most so many, that nobody has begun and that may be needed."""
        taken = {piece.number for piece in pieces}
        ends = [piece.number for piece in pieces if piece.is_end]
        count = self._cut.most(self._whole(video))
        stop = min([*ends, *([] if count is None else [count]), max(taken) + 1 + most])
        return list(islice((number for number in range(stop) if number not in taken), most))

    def _settle(self, connection: sqlite3.Connection, task: Task) -> None:
        """Join the video or let it fail, if its pieces up to the end are known."""
        pieces: list[_Piece] = []
        for piece in self._pieces(connection, "video_id = ?", (task.video_id,)):
            if piece.number != len(pieces) or piece.status == RUNNING:
                break
            pieces.append(piece)
            if piece.is_end:
                error = _failure(pieces)
                if error is None:
                    self._join(connection, task, pieces)
                else:
                    discard_labels(connection, "id = ?", (task.video_id,))
                    connection.execute(
                        "UPDATE videos SET status = ?, error = ?, frame_count = NULL WHERE id = ?",
                        (FAILED, error, task.video_id),
                    )
                return
        tally(connection)

    def _join(self, connection: sqlite3.Connection, task: Task, pieces: Sequence[_Piece]) -> None:
        """The video is done, with these pieces, all of it."""
        whole = self._whole(task)
        met = [self._ledger.dataset.damage(piece.damage, "pieces.damage") for piece in pieces]
        # What was labelled behind the end: of a file that has grown since.
        behind = task.video_id, self._cut.part(whole, len(pieces) - 1).stop
        connection.execute("DELETE FROM frames WHERE video_id = ? AND frame_index >= ?", behind)
        connection.execute(
            "DELETE FROM annotations WHERE video_id = ? AND frame_index >= ? AND revision = 0", behind
        )
        first = next(piece for piece in pieces if piece.frame_count)
        outcome = Outcome(
            sha256=pieces[0].sha256,
            size_bytes=pieces[0].size_bytes,
            width=first.width,
            height=first.height,
            frame_rate=first.frame_rate,
            frame_count=sum(piece.frame_count or 0 for piece in pieces),
            damage=[asdict(each) for each in self._cut.joined(whole, met)],
        )
        record(connection, outcome, "id = ?", (task.video_id,))
        connection.execute("DELETE FROM pieces WHERE video_id = ?", (task.video_id,))


def _number(task: Task) -> int:
    assert task.piece is not None
    return task.piece


def _is_needed(number: int, pieces: Sequence[_Piece]) -> bool:
    """Whether a piece that nobody has begun holds frames for certain, or would show the end of the video."""
    before = [piece for piece in pieces if piece.number < number]
    return all(piece.status == DONE for piece in before) or any(
        piece.frame_count for piece in pieces if piece.number > number
    )


def _failure(pieces: Sequence[_Piece]) -> str | None:
    """Why the video has failed that has these pieces, all of it; None if it has not."""
    last = pieces[-1]
    if last.status == FAILED:
        return last.error or ""
    if not any(piece.frame_count for piece in pieces):
        return pieces[0].error or ""
    sizes = {piece.size_bytes for piece in pieces}
    if len(sizes) > 1:
        return f"its size changed while it was labelled: {', '.join(map(str, sorted(sizes, key=str)))} bytes"
    return None
