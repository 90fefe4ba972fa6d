"""What a dataset holds and what its labels are made with: recorded once, and changed only on request."""

from __future__ import annotations

import json
import sqlite3
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from carvid.errors import UsageError
from carvid.paths import look
from carvid.store.database import source_value
from carvid.store.ledger import Ledger, discard_labels
from carvid.store.opening import database_errors
from carvid.store.rows import Video
from carvid.store.task import VideoRequest
from carvid.workers.states import DONE, RUNNING, WAITING


def requests_of(ledger: Ledger) -> dict[tuple[str, int, int | None], VideoRequest]:
    """The videos in the database as they were asked for, by key, in the order of their ids."""
    found = {}
    for video in ledger.dataset.videos():
        queries = tuple(query.text for query in ledger.dataset.queries(video.id))
        request = VideoRequest(video.path, video.source, queries, video.start_frame, video.stop_frame)
        found[request.key] = request
    return found


def register(
    ledger: Ledger, requests: Sequence[VideoRequest], *, replace: bool = False
) -> list[tuple[VideoRequest, VideoRequest]]:
    """Add the videos that are new, in order. `requests` has no key twice.

    Returns the videos whose queries differ from before, as they were and as they are asked for now. With
    `replace`, their labels are thrown away and they wait again; without it, nothing is changed if there are any.
    """
    with ledger.transaction() as connection:
        known = requests_of(ledger)
        changed = [
            (known[request.key], request)
            for request in requests
            if request.key in known and known[request.key].queries != request.queries
        ]
        if changed and not replace:
            return changed
        for _, request in changed:
            video_id = _video_id(connection, request)
            _reset(connection, "id = ?", (video_id,))
            connection.execute("DELETE FROM video_queries WHERE video_id = ?", (video_id,))
            _add_queries(connection, video_id, request.queries)
        for request in requests:
            if request.key not in known:
                connection.execute(
                    "INSERT INTO videos (path, source, start_frame, stop_frame, status)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (
                        request.path,
                        source_value(request.source),
                        request.start_frame,
                        request.stop_frame,
                        WAITING,
                    ),
                )
                _add_queries(connection, _video_id(connection, request), request.queries)
    return changed


def changed_sources(ledger: Ledger, *, replace: bool = False) -> list[str]:
    """The files labelled, or labelled in part, whose size has changed, as paths with sizes.

    With `replace`, their labels are thrown away and they wait again. A file that is gone keeps its labels, and
    so does a folder of images.
    """
    recorded = _recorded_sizes(ledger)
    changed = []
    # Outside a transaction: looking at thousands of files may take long, and other processes would have to wait.
    for video, size in recorded:
        # One that cannot be looked at is not known to have changed.
        with suppress(OSError):
            found = look(Path(video.source))
            if found is not None and stat.S_ISREG(found.st_mode) and found.st_size != size:
                changed.append((video.id, f"{video.path}: {size} bytes before, {found.st_size} now"))
    if replace and changed:
        with ledger.transaction() as connection:
            for video_id, _ in changed:
                _reset(connection, "id = ?", (video_id,))
    return [told for _, told in changed]


def _recorded_sizes(ledger: Ledger) -> list[tuple[Video, int | None]]:
    """The videos of which the dataset holds labels, each with its size in bytes when these were made."""
    with database_errors(ledger.path):
        begun = ledger.connection.execute(
            "SELECT video_id, max(size_bytes) FROM pieces WHERE status = ? GROUP BY 1", (DONE,)
        ).fetchall()
    found: list[tuple[Video, int | None]] = [
        (video, video.size_bytes) for video in ledger.dataset.videos(DONE)
    ]
    for video_id, size in begun:
        video = ledger.dataset.video(video_id)
        if video is not None:
            found.append((video, size))
    return found


def settings_of(ledger: Ledger) -> dict[str, Any] | None:
    """What the labels are made with; None until a model has been loaded."""
    return dict(ledger.dataset.settings()) or None


def agree(
    ledger: Ledger, settings: Mapping[str, Any], sha256: str, *, replace: bool = False
) -> dict[str, Any] | None:
    """Record what labels are made with from now on. sha256: of those settings that decide the masks.

    Returns the earlier settings if their hash differs. With `replace`, the labels of all videos are then thrown
    away and all wait again; without it, nothing is changed.
    """
    with ledger.transaction() as connection:
        row = connection.execute("SELECT sha256 FROM settings").fetchone()
        before = dict(ledger.dataset.settings()) if row and row[0] != sha256 else None
        if before is not None:
            if not replace:
                return before
            _reset(connection, "1")
        # A path that is not UTF-8 is written in JSON's own escapes.
        told = json.dumps(settings, ensure_ascii=False, sort_keys=True)
        text = told.encode("utf-8", "backslashreplace").decode("utf-8")
        if row is None or before is not None:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (1, ?, ?)", (text, sha256))
    return before


def _video_id(connection: sqlite3.Connection, request: VideoRequest) -> int:
    (video_id,) = connection.execute(
        "SELECT id FROM videos WHERE source = ? AND start_frame = ? AND stop_frame IS ?",
        (source_value(request.source), request.start_frame, request.stop_frame),
    ).fetchone()
    return int(video_id)


def _add_queries(connection: sqlite3.Connection, video_id: int, queries: Sequence[str]) -> None:
    for position, text in enumerate(queries):
        connection.execute("INSERT OR IGNORE INTO queries (text) VALUES (?)", (text,))
        connection.execute(
            "INSERT INTO video_queries SELECT ?, ?, id FROM queries WHERE text = ?",
            (video_id, position, text),
        )


def _reset(connection: sqlite3.Connection, where: str, values: tuple[object, ...] = ()) -> None:
    """Throw away the model's labels of the videos that `where` selects and let them wait.

    Corrections by hand stay. They are read again once the video is labelled: where it still has a frame with
    that index and size, and an object with that id for the same query.
    """
    selected = f"SELECT id FROM videos WHERE {where}"
    if connection.execute(
        f"SELECT 1 FROM videos WHERE id IN ({selected}) AND status = ? AND lease_expires >= ? UNION ALL"
        f" SELECT 1 FROM pieces WHERE video_id IN ({selected}) AND status = ? AND lease_expires >= ?",
        (*values, RUNNING, time.time(), *values, RUNNING, time.time()),
    ).fetchone():
        raise UsageError(
            "another process is labelling this dataset; end it before changing what the labels are made with"
        )
    discard_labels(connection, where, values)
    connection.execute(
        "UPDATE videos SET status = ?, error = NULL, sha256 = NULL, size_bytes = NULL, width = NULL,"
        " height = NULL, frame_rate = NULL, frame_count = NULL, damage = '[]', lease_owner = NULL,"
        f" lease_expires = NULL WHERE {where}",
        (WAITING, *values),
    )
