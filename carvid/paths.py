"""What lies at a path, told alike by every Python: `Path.exists` and its like raise here and answer False there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from carvid.errors import CarvidError

# No such name, a file where a folder should be, a loop of links.
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)
# Windows: the drive is not ready, a name that it does not allow, a loop of links.
_NOTHING_ON_WINDOWS = (21, 123, 1921)


def look(path: Path) -> os.stat_result | None:
    """What is at the path, links followed; None for nothing, such as a link to nothing.

    Raises OSError where that cannot be known: without permission, or for a name that is too long.
    """
    try:
        return path.stat()
    except OSError as error:
        if error.errno in _NOTHING or getattr(error, "winerror", None) in _NOTHING_ON_WINDOWS:
            return None
        raise
    except ValueError:
        # No file is called so: there is a NUL in it, or a surrogate that stands for no byte.
        return None


def exists(path: Path, error: type[CarvidError]) -> bool:
    """Whether there is anything. Raises `error` where that cannot be known."""
    return _mode(path, error) is not None


def is_dir(path: Path, error: type[CarvidError]) -> bool:
    """Whether there is a folder. Raises `error` where that cannot be known."""
    return stat.S_ISDIR(_mode(path, error) or 0)


def is_file(path: Path, error: type[CarvidError]) -> bool:
    """Whether there is a regular file. Raises `error` where that cannot be known."""
    return stat.S_ISREG(_mode(path, error) or 0)


def real(path: Path) -> Path:
    """The path without links, as far as they can be followed; unlike `Path.resolve`, a loop of links is no error."""
    return Path(os.path.realpath(path))


def written_by_carvid(folder: Path) -> str:
    """For the end of a message about a folder of the wrong kind: what carvid wrote there, and what to do with it.

    Empty where carvid wrote nothing there.
    """
    if _holds(folder, "annotations.sqlite"):
        return (
            f"; {folder} is a dataset that `carvid annotate` wrote: look at it with `carvid status`, `carvid serve` or "
            "`carvid export`"
        )
    if _holds(folder, "run.json"):
        return (
            f"; {folder} is the output of `carvid run`, whose masks are in {folder / 'masks'}: a dataset is made with "
            "`carvid annotate VIDEO -q QUERY -o DIR`"
        )
    return ""


def _holds(folder: Path, name: str) -> bool:
    try:
        return look(folder / name) is not None
    except OSError:
        return False


def _mode(path: Path, error: type[CarvidError]) -> int | None:
    try:
        found = look(path)
    except OSError as reason:
        raise error(
            f"cannot look at {path}: {reason.strerror or reason}; "
            "check its name and the permissions of the folders it lies in"
        ) from reason
    return None if found is None else found.st_mode
