"""The database `annotations.sqlite` of a dataset folder: its tables, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import carvid
from carvid.errors import InputError, OutputError
from carvid.sinks.run_record import now

DATABASE = "annotations.sqlite"
"""The database's name in the dataset folder."""

SCHEMA_VERSION = 1

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
"""The states of a video."""

LABEL_TABLES = """
CREATE TABLE frames (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,          -- ordinal of the decoded frame in display order, from 0
    name TEXT NOT NULL,
    pts_seconds REAL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    PRIMARY KEY (video_id, frame_index)
) WITHOUT ROWID;
CREATE TABLE annotations (
    video_id INTEGER NOT NULL,
    frame_index INTEGER NOT NULL,
    query_id INTEGER NOT NULL,
    rle TEXT NOT NULL,                     -- counts of COCO's compressed run-length code
    label_rle TEXT,                        -- the part that no other query claims more; NULL: all of the mask
    box_x INTEGER, box_y INTEGER, box_w INTEGER, box_h INTEGER,  -- px, NULL for an empty mask
    area_px INTEGER NOT NULL,
    score REAL NOT NULL,
    present INTEGER NOT NULL,
    proposal_iou REAL,                     -- IoU of the proposal cut at eta with the mask
    PRIMARY KEY (video_id, frame_index, query_id)
) WITHOUT ROWID;
"""

TABLES = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    json TEXT NOT NULL,                    -- models with their hashes, thresholds and other options
    sha256 TEXT NOT NULL                   -- of what in it decides the masks
);
CREATE TABLE videos (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                    -- relative to the input's root, as text
    source NOT NULL,                       -- absolute; TEXT, or BLOB where the name is not UTF-8
    start_frame INTEGER NOT NULL,
    stop_frame INTEGER,
    sha256 TEXT,
    size_bytes INTEGER,
    status TEXT NOT NULL,
    error TEXT,
    width INTEGER,
    height INTEGER,
    frame_rate TEXT,                       -- 'num/den'
    frame_count INTEGER,                   -- frames labelled
    damage TEXT NOT NULL DEFAULT '[]',     -- JSON: frames that could not be decoded
    lease_owner TEXT,
    lease_expires REAL                     -- seconds since 1970
);
CREATE UNIQUE INDEX videos_by_source ON videos (source, start_frame, ifnull(stop_frame, -1));
CREATE INDEX videos_by_status ON videos (status, id);
CREATE TABLE queries (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE video_queries (
    video_id INTEGER NOT NULL,
    position INTEGER NOT NULL,
    query_id INTEGER NOT NULL,
    PRIMARY KEY (video_id, position)
) WITHOUT ROWID;
"""
    + LABEL_TABLES
)


def database_path(dataset: Path) -> Path:
    return dataset / DATABASE


def uri(path: Path, mode: str) -> str:
    """The path as an SQLite URI; any character of the name stands for itself."""
    return f"file:{quote(os.fsencode(path.absolute()))}?{mode}"


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors of writing into an `OutputError` that names `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(
            f"cannot write {path}: {error}; free some space, make the folder writable or choose another one"
        ) from error


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise InputError unless this is a database of this version's schema; SQLite's if it cannot be read."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    except sqlite3.DatabaseError as error:
        # Other operational errors are the disk's: with a write-ahead log SQLite writes even to read.
        if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
            raise
        raise InputError(f"{path} is no database of carvid annotate: {error}") from error
    found = row[0] if row else "none"
    if found != str(SCHEMA_VERSION):
        raise InputError(
            f"{path} has schema version {found}; this carvid reads version {SCHEMA_VERSION}: "
            "use the carvid that wrote it, or annotate into a new folder"
        )


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty database, within a transaction."""
    # Not executescript, which would commit first: the tables are there with the version or not at all.
    for statement in TABLES.split(";\n"):
        connection.execute(statement)
    facts = {"schema_version": str(SCHEMA_VERSION), "carvid": carvid.__version__, "created": now()}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
