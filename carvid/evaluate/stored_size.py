"""The size of an image of a data set, whose truth lies on the pixels as they are stored."""

from __future__ import annotations

from pathlib import Path

from carvid.errors import InputError
from carvid.paths import is_file
from carvid.stream.image_file import UNREADABLE, image_size


def stored_size(path: Path) -> tuple[int, int]:
    """(H, W) in px, by the file's header alone. Raises InputError where it is missing or no image."""
    if not is_file(path, InputError):
        raise InputError(f"no file {path}")
    try:
        return image_size(path, upright=False)
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as an image ({error})") from error
