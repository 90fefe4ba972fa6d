"""Opening a dataset's database: for reading or writing, made or upgraded where it must be."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

import carvid
from carvid.errors import InputError, OutputError
from carvid.store.checks import damaged
from carvid.store.migrations import migrate
from carvid.store.schema import SCHEMA_VERSION, TABLES
from carvid.workers.states import RUNNING

BUSY_SECONDS = 30.0
"""How long to wait for another process that is writing."""

# The second where SQLite's own message quotes damaged text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def uri(path: Path, mode: str) -> str:
    """The path as an SQLite URI; any character of the name stands for itself."""
    return f"file:{quote(os.fsencode(path.absolute()))}?{mode}"


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors of writing into an `OutputError` that names `path`; an `InputError` if it is damaged."""
    try:
        yield
    except _ERRORS as error:
        if _is_damage(error):
            raise damaged(path, _told(error)) from error
        advice = _busy(error) or "free some space, make the folder writable or choose another one"
        raise OutputError(f"cannot write {path}: {error}; {advice}") from error


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors of reading into an `InputError` that names `path`."""
    try:
        yield
    except _ERRORS as error:
        if _is_damage(error):
            raise damaged(path, _told(error)) from error
        advice = _busy(error)
        raise InputError(
            f"cannot read the dataset {path}: {_told(error)}" + (f"; {advice}" if advice else "")
        ) from error


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Everything the body does through the connection happens whole or not at all.

    Raises OutputError where the database cannot be written.
    """
    with database_errors(path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite may have rolled back already.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def open_writable(path: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open a database for writing; one of an earlier schema version is upgraded.

    make: make it if it is not there; its folder is.
    Raises InputError for what is no dataset of this or an earlier schema version, or is one that an earlier
    carvid is still labelling; OutputError where it cannot be written.
    """
    with database_errors(path):
        connection = _connect(path, "mode=rwc" if make else "mode=rw")
        try:
            # What is not ours is refused before anything in it is changed.
            if not (make and _is_empty(connection)):
                schema_version(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            with transaction(connection, path):
                if make and _is_empty(connection):
                    _create_tables(connection)
                else:
                    _upgrade(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def open_readable(path: Path) -> sqlite3.Connection:
    """Open a database as it stands now, read-only; one of an earlier schema version is upgraded first.

    Raises InputError for what is no dataset of this or an earlier schema version, cannot be read, or would
    have to be upgraded and cannot be.
    """
    connection, version = _snapshot(path)
    if version == SCHEMA_VERSION:
        return connection
    connection.close()
    try:
        open_writable(path).close()
    except OutputError as error:
        cause = error.__cause__
        advice = _busy(cause) or (
            "free some space and make the folder writable, or copy it to a place where it is, and give the copy"
        )
        raise InputError(
            f"{path} has schema version {version} and must be upgraded to {SCHEMA_VERSION} to be read, but it "
            f"cannot be written: {cause}; {advice}"
        ) from error
    return _snapshot(path)[0]


def schema_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the database's tables, from 1 to `SCHEMA_VERSION`.

    Raises InputError for a newer one and for what is no dataset; SQLite's error if it cannot be read.
    """
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    except sqlite3.DatabaseError as error:
        # Other operational errors are the disk's: with a write-ahead log SQLite writes even to read.
        if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
            raise
        raise InputError(f"{path} is not a database of carvid annotate: {error}") from error
    stated = row[0] if row else None
    if not isinstance(stated, str) or not re.fullmatch("[1-9][0-9]{0,8}", stated):
        raise InputError(f"{path} is not a database of carvid annotate: it states no schema version")
    version = int(stated)
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}, of a newer carvid; this one reads up to version "
            f"{SCHEMA_VERSION}: update carvid, or annotate into a new folder"
        )
    return version


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(uri(path, mode), uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def _snapshot(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection in a read transaction, and the schema version."""
    # With a write-ahead log SQLite must write beside the database even to read it, unless nothing changes.
    wal = path.with_name(path.name + "-wal")
    quiet = not os.access(path.parent, os.W_OK) and not wal.exists()
    with reading_errors(path):
        connection = _connect(path, "immutable=1" if quiet else "mode=ro")
        try:
            connection.execute("BEGIN")
            return connection, schema_version(connection, path)
        except BaseException:
            connection.close()
            raise


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    # Asked again within the transaction: another process may have upgraded it meanwhile.
    version = schema_version(connection, path)
    if version == SCHEMA_VERSION:
        return
    if connection.execute(
        "SELECT 1 FROM videos WHERE status = ? AND lease_expires >= ?", (RUNNING, time.time())
    ).fetchone():
        raise InputError(
            f"an earlier carvid is labelling {path}, so it cannot be upgraded from schema version {version} to "
            f"{SCHEMA_VERSION}; let that process finish or end it, and try again a minute later"
        )
    migrate(connection, version)


def _create_tables(connection: sqlite3.Connection) -> None:
    # Not executescript, which would commit first: the tables are there with the version or not at all.
    for statement in TABLES.split(";\n"):
        connection.execute(statement)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    facts = {"schema_version": str(SCHEMA_VERSION), "carvid": carvid.__version__, "created": created}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Whether there is no table yet; a file that is not a database is not empty."""
    try:
        return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,))
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False


def _is_damage(error: Exception) -> bool:
    # Of a malformed file and of one that is no database the error is of this class itself, else of a derived one.
    return type(error) is sqlite3.DatabaseError or isinstance(error, UnicodeDecodeError)


def _told(error: Exception) -> str:
    # What SQLite says may hold a whole value.
    text = str(error)
    return text if len(text) <= 200 else text[:197] + "..."


def _busy(error: BaseException | None) -> str | None:
    """What to do if another process is in the way; None if none is."""
    if "locked" not in str(error):
        return None
    return (
        f"another process has kept the dataset locked for {BUSY_SECONDS:g} s: wait until it has finished, or "
        "end it, and run the same command again"
    )
