"""Writing files whole or not at all; failures are raised as `OutputError`."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from carvid.errors import OutputError

PART_GLOB = ".carvid-*.part"
"""Temporary files. Only a process that was killed leaves one behind."""

_ADVICE = {
    errno.ENOSPC: "free some space or choose another output folder",
    errno.EDQUOT: "free some of the quota or choose another output folder",
    errno.EFBIG: "raise the file size limit or choose another output folder",
    errno.EROFS: "choose an output folder on a writable disk",
    errno.EACCES: "make the folder writable or choose another output folder",
    errno.EPERM: "make the folder writable or choose another output folder",
    errno.ENAMETOOLONG: "rename the source's frames or choose a shorter output folder",
}


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` raised in the body into an `OutputError` that names `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _ADVICE.get(error.errno or 0, "choose another output folder")
        raise OutputError(f"cannot write {path}: {reason}; {advice}") from error


class Replacement:
    """A temporary file, `temporary`, beside `path`, that is moved there or removed in the end.

    This class does not create it: the writer does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Not derived from path.name: with a suffix added, a name of legal length could become too long.
        self.temporary = path.parent / f".carvid-{os.getpid()}-{secrets.token_hex(4)}.part"

    def commit(self) -> None:
        """Move the temporary file to `path`, replacing what is there.

        Raises:
            OutputError: if it cannot be moved.
        """
        with output_errors(self.path):
            self.temporary.replace(self.path)

    def discard(self) -> None:
        """Remove the temporary file if it is still there."""
        # Called while another error is being raised, which says more than a failing clean-up would.
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        OutputError: if it cannot be written; `path` is then as it was.
    """
    replacement = Replacement(path)
    try:
        with output_errors(path):
            replacement.temporary.write_bytes(data)
        replacement.commit()
    finally:
        replacement.discard()
