"""Whether a source is still the one that was segmented."""

from __future__ import annotations

from pathlib import Path

from carvid.errors import InputError
from carvid.paths import exists
from carvid.stream.identity import identify_source, source_size
from carvid.verify.check import DIFFERS, OK, UNCHECKED, Check


def check_source(name: str, path: Path | None, size_bytes: int | None, sha256: str | None) -> Check:
    """Compare a source with its recorded size and hash, as `carvid.stream.identity` makes them.

    path: where it should be; None where that is not recorded.
    """
    if sha256 is None:
        return Check(
            name, UNCHECKED, "no hash is recorded of it: it was no file or folder, or could be read only once"
        )
    if path is None:
        return Check(name, UNCHECKED, "its path is not recorded; give it with --source")
    try:
        if not exists(path, InputError):
            return Check(name, UNCHECKED, f"there is nothing at {path}")
        size = source_size(path)
        if size is None:
            return Check(name, UNCHECKED, f"{path} is no file or folder, so it has no hash")
        if size != size_bytes:
            return Check(name, DIFFERS, f"{path} has {size} bytes, {size_bytes} are recorded")
        found = identify_source(path)["sha256"]
    except InputError as error:
        return Check(name, UNCHECKED, str(error))
    if found != sha256:
        return Check(name, DIFFERS, f"{path} has the SHA-256 {found}, {sha256} is recorded")
    return Check(name, OK, str(path))
