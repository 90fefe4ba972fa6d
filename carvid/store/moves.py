"""Videos that have moved since they were registered: recognised by their content, or named by the user."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from carvid.errors import InputError, UsageError
from carvid.store.agreement import requests_of
from carvid.store.database import source_text, source_value
from carvid.store.ledger import Ledger
from carvid.store.opening import database_errors
from carvid.store.task import VideoRequest
from carvid.stream.identity import identify_source, source_size
from carvid.workers.states import DONE, RUNNING

Range = tuple[int, int | None]


@dataclass(frozen=True)
class _Row:
    id: int
    path: str
    source: str
    range: Range
    status: str
    size_bytes: int | None
    sha256: str | None

    @property
    def is_known(self) -> bool:
        """Whether it can be told from another: not while it is labelled, nor once it was, from a pipe."""
        return self.status != RUNNING and (self.status != DONE or self.sha256 is not None)


def reroot(ledger: Ledger, old: Path, new: Path) -> int:
    """Give the sources that lie in `old`, or are it, the place they have in `new`; returns how many there are.

    Done again, it changes nothing. No file is read; `changed_sources` finds those of another size.
    Raises UsageError if no source lies in either folder, or if a source would be in the dataset twice, and
    InputError if there is no `new`.
    """
    before, after = os.path.abspath(old), os.path.abspath(new)  # noqa: PTH100 - resolves no links
    if not os.path.exists(after):  # noqa: PTH110
        raise InputError(f"there is no {new}; expected the place to which {old} was moved")
    with ledger.transaction() as connection:
        rows = _rows(connection)
        there = {row.id for row in rows if _is_below(row.source, after)}
        # Where the new place lies within the old one, what is there already stays.
        settled = there if _is_below(after, before) else set()
        moved = [row for row in rows if _is_below(row.source, before) and row.id not in settled]
        if not moved and not there:
            raise UsageError(f"this dataset has no source in {before}")
        ids = {row.id for row in moved}
        taken = {(row.source, row.range) for row in rows if row.id not in ids}
        # Short paths first, so that where the old place lies within the new one, none takes another's before it left.
        for row in sorted(moved, key=lambda row: len(row.source)):
            source = _replaced(row.source, before, after)
            if (source, row.range) in taken:
                raise UsageError(
                    f"{row.source} cannot become {source}: this dataset holds that already, as another video"
                )
            _move(connection, row, source, _replaced(row.path, before, after))
    return len(moved)


def adopt_moved(ledger: Ledger, requests: Sequence[VideoRequest]) -> int:
    """Recognise videos of the dataset that now lie elsewhere; returns how many.

    Such a video has nothing at its old path. One that is labelled is recognised by its size and hash; one that is
    not, by its path relative to the input's root. The range of frames must be the same. A new file is read only if
    it has the size of a labelled one that is gone.
    """
    known = requests_of(ledger)
    new = [request for request in requests if request.key not in known]
    if not new:
        return 0
    with database_errors(ledger.path):
        rows = _rows(ledger.connection)
    # Outside a transaction: this may take long, and other processes would have to wait.
    lost = [row for row in rows if row.is_known and not os.path.exists(row.source)]  # noqa: PTH110
    pairs = _recognise(new, lost) if lost else []
    with ledger.transaction() as connection:
        # Another process may have done the same meanwhile.
        known = requests_of(ledger)
        return sum(
            _move(connection, row, request.source, request.path)
            for row, request in pairs
            if request.key not in known
        )


def _recognise(new: Sequence[VideoRequest], lost: Sequence[_Row]) -> list[tuple[_Row, VideoRequest]]:
    """Each of the new videos with the lost one that it is, if any; no lost one twice."""
    sizes = {row.size_bytes for row in lost if row.sha256 is not None}
    hash_of = cache(lambda source: _hash(Path(source), sizes))
    by_path: dict[tuple[str, Range], list[_Row]] = {}
    by_hash: dict[tuple[str, Range], list[_Row]] = {}
    for row in lost:
        by_path.setdefault((row.path, row.range), []).append(row)
        if row.sha256 is not None:
            by_hash.setdefault((row.sha256, row.range), []).append(row)
    found: dict[int, tuple[_Row, VideoRequest]] = {}
    rest = []
    # First those that kept their path within the root, so that copies of one video are not taken for each other.
    for request in new:
        for row in by_path.get((request.path, _range(request)), ()):
            if row.id not in found and (row.sha256 is None or row.sha256 == hash_of(request.source)):
                found[row.id] = row, request
                break
        else:
            rest.append(request)
    for request in rest:
        for row in by_hash.get((hash_of(request.source) or "", _range(request)), ()):
            if row.id not in found:
                found[row.id] = row, request
                break
    return list(found.values())


def _hash(source: Path, sizes: Container[int | None]) -> str | None:
    """The hash of a source that has one of these sizes; None for another, and for one that cannot be read."""
    try:
        if source_size(source) not in sizes:
            return None
        found: str | None = identify_source(source)["sha256"]
    except InputError:
        # Labelling it will fail, and tell why.
        return None
    return found


def _rows(connection: sqlite3.Connection) -> list[_Row]:
    return [
        _Row(video_id, path, source_text(source), (start, stop), status, size, sha256)
        for video_id, path, source, start, stop, status, size, sha256 in connection.execute(
            "SELECT id, path, source, start_frame, stop_frame, status, size_bytes, sha256 FROM videos ORDER BY id"
        )
    ]


def _move(connection: sqlite3.Connection, row: _Row, source: str, path: str) -> int:
    return connection.execute(
        "UPDATE videos SET source = ?, path = ? WHERE id = ? AND source = ?",
        (source_value(source), path, row.id, source_value(row.source)),
    ).rowcount


def _range(request: VideoRequest) -> Range:
    return request.start_frame, request.stop_frame


def _is_below(path: str, folder: str) -> bool:
    path = os.path.normpath(path)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _replaced(path: str, before: str, after: str) -> str:
    """The path with its beginning replaced; as it is, if it begins otherwise."""
    if not _is_below(path, before):
        return path
    return os.path.normpath(os.path.join(after, os.path.relpath(path, before)))  # noqa: PTH118
