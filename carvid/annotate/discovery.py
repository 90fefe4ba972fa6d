"""Finding videos: in a folder and all below it, or by a glob pattern."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from carvid.errors import InputError
from carvid.stream.animation import player_of
from carvid.stream.folder import is_image, natural_key
from carvid.stream.image_file import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset(
    (
        ".3g2", ".3gp", ".apng", ".asf", ".avi", ".avifs", ".flv", ".gif", ".m2ts", ".m4v", ".mjpeg", ".mjpg",
        ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """Sources found.

    root: the folder to which their paths are relative; absolute. sources: absolute, in a fixed order.
    folders: every folder that was searched or is itself a source; no output may lie in one.
    """

    root: Path
    sources: tuple[Path, ...]
    folders: tuple[Path, ...]


def find_videos(videos: str) -> Found:
    """The sources that VIDEOS stands for: a folder, a video file, or a glob pattern (`**` for any depth).

    In a folder, each file with a video's suffix is a video, and so is each animation (PNG, WebP, AVIF, TIFF of
    several pages) and each folder that holds images but neither videos nor folders: its images are the frames.
    Hidden files and folders are left out. Links are followed; a folder that can be reached in several ways is
    searched once, by a way without links if there is one. The sources come in natural order of their paths.
    Raises InputError if there is no such place, or no video in it.
    """
    path = Path(videos)
    if path.is_dir():
        root = path.absolute()
        walk = _Walk()
        sources = walk.search(root)
    elif path.exists():
        root, walk, sources = path.absolute().parent, _Walk(), [path.absolute()]
    elif glob.has_magic(videos):
        root, walk, sources = _by_pattern(videos)
    else:
        raise InputError(
            f"there is no {videos}; give a folder, a video, a glob pattern, a .csv or a .jsonl file"
        )
    if not sources:
        raise InputError(
            f"no video in {videos}; expected files ending in {', '.join(sorted(VIDEO_SUFFIXES))}"
        )
    unique = sorted(set(sources), key=lambda source: natural_key(os.path.relpath(source, root)))
    return Found(root, tuple(unique), tuple(walk.folders))


def _by_pattern(pattern: str) -> tuple[Path, _Walk, list[Path]]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root, rest = Path(*parts[:fixed]).absolute(), list(parts[fixed:])
    if rest[-1] == "**":
        rest.append("*")
    walk = _Walk()
    sources: list[Path] = []
    # Path's glob, as the module glob follows linked folders, even round in circles.
    for path in sorted(root.glob(str(Path(*rest)))):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_dir():
            # `**` also matches every folder on the way; what they hold matches by itself.
            if "**" not in rest or walk.is_frames(path):
                sources.extend(walk.search(path))
        elif is_video(path):
            sources.append(path)
    return root, walk, sources


class _Walk:
    """Searches folders, each one once, whatever links lead to it."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self._seen: set[tuple[int, int]] = set()

    def search(self, top: Path) -> list[Path]:
        # Linked folders come last, so that a folder is found under its own name first.
        found: list[Path] = []
        waiting = [top]
        while waiting:
            links: list[Path] = []
            for folder in waiting:
                found.extend(self._search(folder, links))
            waiting = links
        return found

    def is_frames(self, folder: Path) -> bool:
        """Whether the folder is one video, with its images as the frames."""
        entries = list(_entries(folder))
        return any(is_image(entry) for entry in entries) and not any(
            entry.is_dir() or is_video(entry) for entry in entries
        )

    def _search(self, top: Path, links: list[Path]) -> Iterator[Path]:
        stack = [top]
        while stack:
            folder = stack.pop()
            status = folder.stat()
            if (status.st_dev, status.st_ino) in self._seen:
                continue
            self._seen.add((status.st_dev, status.st_ino))
            self.folders.append(folder)
            if self.is_frames(folder):
                yield folder
                continue
            for entry in _entries(folder):
                if entry.is_dir():
                    (links if entry.is_symlink() else stack).append(entry)
                elif is_video(entry):
                    yield entry


def is_video(file: Path) -> bool:
    """Whether a file is a video by its suffix, or an image file that holds an animation."""
    if file.name.startswith("."):
        return False
    suffix = file.suffix.lower()
    return suffix in VIDEO_SUFFIXES or (suffix in IMAGE_SUFFIXES and player_of(file) is not None)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be listed: {error.strerror or error}") from error
