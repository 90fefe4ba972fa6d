"""Who is working on a dataset: each process holds a lock, which the system releases however the process ends.

A lease in the database expires by itself; the lock shows at once that its owner is gone. All processes that share a
dataset run on one machine, as SQLite's write-ahead log requires.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from carvid.media.locks import is_locked, lock
from carvid.media.whole_file import output_errors

WORK = "work"
"""The folder in a dataset for what is there only while processes are working on it."""


class Presence:
    """This process as one of those that work on a dataset; a context manager.

    owner: its name. folder: its own, for unfinished files; removed afterwards.
    """

    def __init__(self, dataset: Path) -> None:
        self.owner = secrets.token_hex(8)
        self._dataset, self._work = dataset, dataset / WORK
        self.folder = self._work / self.owner
        self._lock: int | None = None

    def __enter__(self) -> Presence:
        """Raises OutputError if the dataset cannot be written."""
        with self.alone(), output_errors(self._work):
            self.folder.mkdir(parents=True)
            self._lock = os.open(self._lock_file(self.owner), os.O_RDWR | os.O_CREAT, 0o666)
            lock(self._lock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.alone():
            self._remove(self.owner)
            if self._lock is not None:
                os.close(self._lock)
            if self._work.is_dir() and not any(self._work.iterdir()):
                self._work.rmdir()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Meanwhile no other process can come, sweep or open the database."""
        with output_errors(self._dataset):
            # The folder itself is locked, as it holds no file to lock yet. Windows cannot open folders.
            folder = os.open(self._dataset, os.O_RDONLY) if os.name != "nt" else None
        try:
            if folder is not None:
                with output_errors(self._dataset):
                    lock(folder)
            yield
        finally:
            if folder is not None:
                os.close(folder)

    def dead(self, owners: Iterable[str]) -> tuple[str, ...]:
        """Which of the owners have ended."""
        return tuple(
            owner for owner in owners if owner != self.owner and not is_locked(self._lock_file(owner))
        )

    def sweep(self) -> None:
        """Remove what processes that have ended left behind."""
        with self.alone():
            if self._work.is_dir():
                for owner in self.dead({entry.stem for entry in self._work.iterdir()}):
                    self._remove(owner)

    def _remove(self, owner: str) -> None:
        shutil.rmtree(self._work / owner, ignore_errors=True)
        self._lock_file(owner).unlink(missing_ok=True)

    def _lock_file(self, owner: str) -> Path:
        return self._work / f"{owner}.lock"
