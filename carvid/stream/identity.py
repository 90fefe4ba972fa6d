"""Which source it was: its name, its size and the hash of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from carvid.errors import InputError
from carvid.paths import is_dir, is_file, real
from carvid.stream.source import StreamInfo


def source_name(path: Path) -> str:
    """The name of the file or folder itself, also where the path is ".", ends in ".." or is a link."""
    return real(path).name


def identify_stream(info: StreamInfo) -> dict[str, Any]:
    """What `identify_source` says of the stream's path; the name alone, without size and hash, if it has none."""
    if info.path is None:
        return {"name": info.name, "size_bytes": None, "sha256": None}
    return identify_source(info.path)


def identify_source(path: Path) -> dict[str, Any]:
    """Name, size and hash of a source.

    A file's hash is the SHA-256 of its content. A folder's covers the regular files directly in it, hidden
    ones left out: the SHA-256 of, for each in the order of its name's bytes, the name, a zero byte, the size
    as 8 bytes big-endian, and the content. Its size is the sum of theirs. A source that is neither (a pipe,
    say) has neither size nor hash, as reading it would use it up.

    Returns:
        name, size_bytes, sha256 (hexadecimal); the last two None as said.

    Raises:
        InputError: if a file cannot be read.
    """
    name = source_name(path)
    try:
        if is_dir(path, InputError):
            digest, size = hashlib.sha256(), 0
            for entry in sorted(
                _entries(path), key=lambda entry: entry.name.encode("utf-8", "surrogateescape")
            ):
                entry_size = entry.stat().st_size
                digest.update(entry.name.encode("utf-8", "surrogateescape") + b"\0")
                digest.update(entry_size.to_bytes(8, "big"))
                size += _feed(digest, entry)
        elif is_file(path, InputError):
            digest = hashlib.sha256()
            size = _feed(digest, path)
        else:
            return {"name": name, "size_bytes": None, "sha256": None}
    except OSError as error:
        raise InputError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    return {"name": name, "size_bytes": size, "sha256": digest.hexdigest()}


def source_size(path: Path) -> int | None:
    """The size that `identify_source` gives, without reading any content.

    Raises:
        InputError: if a file or folder cannot be looked at.
    """
    try:
        if is_dir(path, InputError):
            return sum(entry.stat().st_size for entry in _entries(path))
        return path.stat().st_size if is_file(path, InputError) else None
    except OSError as error:
        raise InputError(f"cannot read {error.filename or path}: {error.strerror or error}") from error


def _entries(folder: Path) -> list[Path]:
    return [
        entry for entry in folder.iterdir() if is_file(entry, InputError) and not entry.name.startswith(".")
    ]


def _feed(digest: hashlib._Hash, path: Path) -> int:
    size = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size
