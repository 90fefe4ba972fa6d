"""Locks that processes hold on files: the system releases them however a process ends, so none is ever stale.

Without `fcntl` (on Windows) nothing is locked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import socket
import sys
import time
import warnings
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from carvid.errors import OutputError
from carvid.media.whole_file import output_errors

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".carvid.lock"
"""The file in a folder by which `FolderLock` locks it. One that a killed process left behind locks nothing."""

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a file system that has no locks, as some network file systems have none."""

_TRIES = 5
_TRY_AGAIN_SECONDS = 0.02
_SHOWN_CHARACTERS = 300


def lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file or folder until its descriptor is closed; False if others hold it and `wait` is not set."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def is_locked(file: Path) -> bool:
    """Whether anybody holds the lock on a file; False if it is not there. Without `fcntl`: whether it is there."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        # Shared, so that two processes that ask at the same time do not take each other for the holder.
        return fcntl is None or not lock(descriptor, shared=True, wait=False)
    finally:
        os.close(descriptor)


class FolderLock:
    """Keeps others from writing to an output folder; a context manager that one process or thread at a time can enter.

    The folder is made if it does not exist. The lock is a hidden file that also names its holder. It lies in the
    folder or, if `beside`, in its parent: for a folder that is moved into its place only when it is complete. It is
    removed afterwards.

    Raises OutputError, naming the holder, if another holds it, or if the place cannot be written. Warns where the file
    system has no locks.
    """

    def __init__(self, folder: Path, *, beside: bool = False) -> None:
        self._folder, self._beside = folder, beside
        self._file = _lock_file(folder, beside)
        self._descriptor: int | None = None

    def __enter__(self) -> FolderLock:
        with output_errors(self._folder):
            (self._file.parent if self._beside else self._folder).mkdir(parents=True, exist_ok=True)
            if fcntl is None:
                return self
            self._descriptor = self._acquire()
            # Without the name the lock holds too; a full disk must not keep a run from replacing what fills it.
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, _describe_holder())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            # Removed before it is released: whoever opened it meanwhile sees that it is no longer the folder's.
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _acquire(self) -> int:
        tries = 0
        while True:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if not lock(descriptor, wait=False):
                    if tries == _TRIES:
                        raise _in_use(self._folder, self._file)
                    # `is_locked` holds it for an instant too.
                    tries += 1
                    time.sleep(_TRY_AGAIN_SECONDS)
                elif _is_same(descriptor, self._file):
                    return descriptor
            except OSError as error:
                if error.errno in _WITHOUT_LOCKS:
                    warnings.warn(
                        f"{self._folder} is on a file system without locks; let no other process write to it",
                        stacklevel=3,
                    )
                    return descriptor
                os.close(descriptor)
                raise
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def check_free(folder: Path, *, beside: bool = False) -> None:
    """Raise OutputError, naming the holder, if a `FolderLock` is held on the folder; changes nothing."""
    file = _lock_file(folder, beside)
    with output_errors(folder):
        try:
            is_held = fcntl is not None and is_locked(file)
        except OSError as error:
            # A loop of links is no folder, which whoever uses it finds.
            if error.errno not in (*_WITHOUT_LOCKS, errno.ELOOP):
                raise
            is_held = False
    if is_held:
        raise _in_use(folder, file)


def _lock_file(folder: Path, beside: bool) -> Path:
    if not beside:
        return folder / LOCK_FILE
    place = folder.resolve()
    # Hashed: with something added, a name of legal length could become too long.
    name = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]
    return place.parent / f".carvid-{name}.lock"


def _is_same(descriptor: int, file: Path) -> bool:
    """Whether the open file is still the one of that name, and not one that its holder has removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _describe_holder() -> bytes:
    facts = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
    }
    return json.dumps(facts).encode()


def _in_use(folder: Path, file: Path) -> OutputError:
    who = "another process is writing to it"
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(file.read_bytes())
        who = (
            f"process {facts['pid']} on {facts['host']} has been writing to it since {facts['since']} "
            f"({facts['command'][:_SHOWN_CHARACTERS]})"
        )
    return OutputError(
        f"output folder {folder} is in use: {who}; wait until it has ended, or choose another output folder"
    )
