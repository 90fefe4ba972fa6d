"""Reading the files in which a data set lists what it has: one name per line, or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from carvid.errors import InputError
from carvid.media.json_text import load_json
from carvid.paths import is_file


def read_json(path: Path) -> Any:
    """What a JSON file holds, null aside. Raises InputError."""
    try:
        values = load_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"no file {path}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    if values is None:
        raise InputError(f"{path} holds null")
    return values


def read_names(path: Path, what: str, stands_for: str, problems: list[str]) -> tuple[str, ...]:
    """The names in a file with one per line, blank lines aside; what is wrong with it is added to `problems`.

    what: what the names are of, such as "video". stands_for: what has the name, such as "a folder".
    """
    if not is_file(path, InputError):
        problems.append(f"no file {path}")
        return ()
    try:
        # utf-8-sig: some editors begin a file with a byte order mark.
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"cannot read {path}: {error}")
        return ()
    found: dict[str, int] = {}
    for number, name in enumerate(map(str.strip, lines), 1):
        # One that counted twice would weigh twice in every mean.
        if name in found:
            problems.append(f"{path}, line {number}: {name} is listed already, in line {found[name]}")
        elif name and Path(name).name != name:
            problems.append(f"{path}, line {number}: {name!r} is not the name of {stands_for} alone")
        elif name:
            found[name] = number
    if not any(line.strip() for line in lines):
        problems.append(f"{path} names no {what}")
    return tuple(found)
