"""The one writer of a dataset's database: which videos there are, whose turn it is, what came of them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from carvid.store.checks import damaged
from carvid.store.database import Dataset
from carvid.store.opening import database_errors, open_writable, transaction, uri
from carvid.store.rows import Video
from carvid.store.schema import HAND, LABELS, database_path
from carvid.store.task import Outcome, Task, as_text
from carvid.workers.states import DONE, FAILED, RUNNING, WAITING


class Ledger:
    """One process's access to a dataset's database. Each method takes effect as a whole or not at all.

    Raises OutputError where the database cannot be written, InputError where it is damaged.

    dataset: reads what is written, as it stands now.
    """

    def __init__(self, dataset: Path, owner: str) -> None:
        """Open the database, making it if it is not there; the folder is.

        owner: names this process among those that share the dataset.
        Raises InputError as `carvid.store.opening.open_writable` does.
        """
        self.path = database_path(dataset)
        self.owner = owner
        self.connection = open_writable(self.path, make=True)
        self.dataset = Dataset(dataset, self.connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything the body does through the connection happens whole or not at all."""
        with transaction(self.connection, self.path):
            yield self.connection

    def retry_failed(self) -> int:
        """Let the failed videos wait again; returns how many there were."""
        with self.transaction() as connection:
            return connection.execute(
                "UPDATE videos SET status = ?, error = NULL WHERE status = ?", (WAITING, FAILED)
            ).rowcount

    def recover(self, dead_owners: Sequence[str] = ()) -> int:
        """Let what was being labelled wait again if its lease has run out or its owner is dead; returns how many."""
        marks = ", ".join("?" * len(dead_owners))
        lost = f"status = ? AND (lease_expires < ? OR lease_owner IN ({marks}))"
        values = RUNNING, time.time(), *dead_owners
        with self.transaction() as connection:
            pieces = connection.execute(f"DELETE FROM pieces WHERE {lost}", values).rowcount
            if pieces:
                tally(connection)
            videos = connection.execute(
                "UPDATE videos SET status = ?, lease_owner = NULL, lease_expires = NULL, frame_count = NULL"
                f" WHERE {lost}",
                (WAITING, *values),
            ).rowcount
        return pieces + videos

    def claim(self, lease_seconds: float) -> Task | None:
        """Take the lease of the first video that waits; None if there is none."""
        with self.transaction() as connection:
            video = next(self.dataset.videos(WAITING), None)
            if video is None:
                return None
            connection.execute(
                "UPDATE videos SET status = ?, lease_owner = ?, lease_expires = ? WHERE id = ?",
                (RUNNING, self.owner, time.time() + lease_seconds, video.id),
            )
            return self.task(video)

    def task(self, video: Video, piece: int | None = None) -> Task:
        """The task to label a video, or a piece of it."""
        queries = tuple(self.dataset.queries(video.id))
        if not queries:
            raise damaged(self.path, f"video {video.id} has no queries")
        return Task(
            video.id,
            video.path,
            video.source,
            video.start_frame,
            video.stop_frame,
            tuple(query.id for query in queries),
            tuple(query.text for query in queries),
            piece,
        )

    def waiting(self, most: int) -> int:
        """How many videos wait; at most so many."""
        return min(most, self.counts()[WAITING])

    def renew(self, lease_seconds: float, frames: Mapping[Task, int]) -> set[Task]:
        """Extend the leases this process holds; returns the tasks whose lease is lost. frames: labelled so far."""
        with self.transaction() as connection:
            return {
                task
                for task, count in frames.items()
                if not connection.execute(
                    "UPDATE videos SET lease_expires = ?, frame_count = ? WHERE id = ? AND status = ?"
                    " AND lease_owner = ?",
                    (time.time() + lease_seconds, count, task.video_id, RUNNING, self.owner),
                ).rowcount
            }

    def commit(self, task: Task, staged: Path, outcome: Outcome) -> bool:
        """Merge a worker's closed file: the video is done. False, with no change, if the lease is lost."""
        with self.merging(staged) as connection:
            held = "id = ? AND status = ? AND lease_owner = ?"
            changed = record(connection, outcome, held, (task.video_id, RUNNING, self.owner))
            if changed:
                for table in LABELS:
                    connection.execute(f"INSERT INTO main.{table} SELECT * FROM staged.{table}")
        return changed

    @contextmanager
    def merging(self, staged: Path) -> Iterator[sqlite3.Connection]:
        """A transaction, in which a worker's closed file is the database `staged`."""
        # A database cannot be attached within a transaction.
        with database_errors(self.path):
            self.connection.execute("ATTACH ? AS staged", (uri(staged, "mode=ro"),))
        try:
            with self.transaction() as connection:
                yield connection
        finally:
            with suppress(sqlite3.Error):
                self.connection.execute("DETACH staged")

    def fail(self, task: Task, error: str) -> bool:
        """Record why a video cannot be labelled; False if the lease is lost."""
        return self._give_up(task, FAILED, as_text(error))

    def release(self, task: Task) -> bool:
        """Let a video wait for another worker; False if the lease is lost."""
        return self._give_up(task, WAITING, None)

    def labelled(self, video_id: int) -> int:
        """No frame: the labels of a whole video enter the dataset when it is done."""
        return 0

    def counts(self) -> dict[str, int]:
        """How many videos there are in each state; every state is there."""
        with database_errors(self.path):
            found = dict(self.connection.execute("SELECT status, count(*) FROM videos GROUP BY status"))
        return {status: found.get(status, 0) for status in (WAITING, RUNNING, DONE, FAILED)}

    def is_settled(self) -> bool:
        """Whether every video is done or has failed."""
        counts = self.counts()
        return counts[WAITING] == counts[RUNNING] == 0

    def lease_owners(self) -> tuple[str, ...]:
        """The owners of unexpired leases, without this process."""
        with database_errors(self.path):
            rows = self.connection.execute(
                "SELECT lease_owner FROM (SELECT status, lease_owner, lease_expires FROM videos"
                " UNION ALL SELECT status, lease_owner, lease_expires FROM pieces)"
                " WHERE status = ? AND lease_owner != ? AND lease_expires >= ? GROUP BY 1 ORDER BY 1",
                (RUNNING, self.owner, time.time()),
            ).fetchall()
        return tuple(row[0] for row in rows)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _give_up(self, task: Task, status: str, error: str | None) -> bool:
        with self.transaction() as connection:
            return bool(
                connection.execute(
                    "UPDATE videos SET status = ?, error = ?, lease_owner = NULL, lease_expires = NULL,"
                    " frame_count = NULL WHERE id = ? AND status = ? AND lease_owner = ?",
                    (status, error, task.video_id, RUNNING, self.owner),
                ).rowcount
            )


def record(connection: sqlite3.Connection, outcome: Outcome, where: str, values: tuple[object, ...]) -> bool:
    """The video that `where` selects is done; False if there is none."""
    connection.execute(
        f"INSERT INTO labellings SELECT id, 1 FROM videos WHERE {where}"
        " ON CONFLICT (video_id) DO UPDATE SET number = number + 1",
        values,
    )
    return bool(
        connection.execute(
            "UPDATE videos SET status = ?, error = NULL, lease_owner = NULL, lease_expires = NULL, sha256 = ?,"
            " size_bytes = ?, width = ?, height = ?, frame_rate = ?, frame_count = ?, damage = ?"
            f" WHERE {where}",
            (
                DONE,
                outcome.sha256,
                outcome.size_bytes,
                outcome.width,
                outcome.height,
                outcome.frame_rate,
                outcome.frame_count,
                json.dumps([dict(stretch) for stretch in outcome.damage]),
                *values,
            ),
        ).rowcount
    )


def tally(connection: sqlite3.Connection) -> None:
    """State and frames so far of the videos that are labelled in pieces: running while one of these is."""
    connection.execute(
        "UPDATE videos SET frame_count = (SELECT sum(frame_count) FROM pieces WHERE video_id = id),"
        " status = CASE WHEN EXISTS (SELECT 1 FROM pieces WHERE video_id = id AND pieces.status = ?)"
        " THEN ? ELSE ? END"
        " WHERE status = ? AND lease_owner IS NULL OR id IN (SELECT video_id FROM pieces)",
        (RUNNING, RUNNING, WAITING, RUNNING),
    )


def discard_labels(connection: sqlite3.Connection, where: str, values: tuple[object, ...]) -> None:
    """Throw away the model's labels of the videos that `where` selects, their pieces, and verdicts on the labels.

    Corrections by hand stay, with the verdicts on these.
    """
    selected = f"video_id IN (SELECT id FROM videos WHERE {where})"
    for table in ("frames", "objects", "pieces"):
        connection.execute(f"DELETE FROM {table} WHERE {selected}", values)
    connection.execute(f"DELETE FROM annotations WHERE {selected} AND revision = 0", values)
    connection.execute(
        f"DELETE FROM verdicts WHERE {selected} AND NOT EXISTS (SELECT 1 FROM annotations AS mask"
        " WHERE mask.video_id = verdicts.video_id AND mask.frame_index = verdicts.frame_index"
        " AND mask.object_id = verdicts.object_id AND mask.revision = verdicts.revision AND mask.source = ?)",
        (*values, HAND),
    )
