"""Folders of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from carvid.errors import InputError
from carvid.frame import Frame
from carvid.paths import written_by_carvid
from carvid.stream.animation import player_of
from carvid.stream.image_file import IMAGE_SUFFIXES, UNREADABLE, read_image
from carvid.stream.source import Damage, Items, Selection, Source

VIDEO_SUFFIXES = frozenset(
    (
        ".3g2", ".3gp", ".apng", ".asf", ".avi", ".avifs", ".flv", ".gif", ".m2ts", ".m4v", ".mjpeg", ".mjpg",
        ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
    )
)  # fmt: skip
"""What the names of files that are taken for videos in a folder end in."""


def open_folder(folder: Path, selection: Selection) -> Source:
    """The images of a folder in natural order (2 before 10), each frame named by its file's stem.

    Hidden files, folders and files without an image's suffix are left out. Sizes may differ between images.
    Raises InputError when there is no image, or when two images have the same stem.
    """
    try:
        entries = [entry for entry in folder.iterdir() if is_image_name(entry.name) and entry.is_file()]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be listed: {error.strerror}") from error
    if not entries:
        raise InputError(
            f"the folder {folder} holds no image; expected files ending in {suffix_list()}{_instead(folder)}"
        )
    files = sorted(entries, key=lambda entry: natural_key(entry.name))
    by_stem: dict[str, Path] = {}
    for file in files:
        twin = by_stem.setdefault(file.stem, file)
        if twin is not file:
            raise InputError(
                f"{folder} holds {twin.name} and {file.name}: frames are named by the part before the "
                "suffix, so the two would share one mask file; rename one of them"
            )
    return _source(files, selection)


def _instead(folder: Path) -> str:
    """What to do with a folder that holds no image."""
    if found := written_by_carvid(folder):
        return found
    videos = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        return "; give a folder that holds images, or a video file"
    return f"; it holds videos, such as {videos[0]}: give one of them, or all with `carvid annotate {folder}`"


def open_image(file: Path, selection: Selection) -> Source:
    """One image, as a folder holding nothing else."""
    return _source([file], selection)


def is_image(path: Path) -> bool:
    """Whether a file given by itself is one image and no animation; a GIF counts as one."""
    return is_image_name(path.name) and path.suffix.lower() != ".gif" and player_of(path) is None


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts runs of digits by value and the rest without regard to case; the name itself settles ties."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if part.isdecimal() else part.casefold() for part in parts], name


def _source(files: Sequence[Path], selection: Selection) -> Source:
    return Source("folder", None, None, len(files), _items(files, selection))


def _items(files: Sequence[Path], selection: Selection) -> Items:
    for index in range(len(files))[selection.start : selection.stop : selection.every]:
        file = files[index]
        try:
            image = read_image(file)
        except UNREADABLE as error:
            yield Damage(index, index, f"{file.name} cannot be read as an image: {error}")
            continue
        yield Frame(index=index, pts_seconds=None, image=image, name=file.stem)
    return len(files)


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: by its suffix, and unless it is hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def suffix_list() -> str:
    """The suffixes of images, for messages."""
    return ", ".join(sorted(IMAGE_SUFFIXES))
