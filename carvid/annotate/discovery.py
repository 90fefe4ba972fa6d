"""Finding videos: in a folder and all below it, or by a glob pattern."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from carvid.errors import InputError
from carvid.paths import exists, is_dir, look
from carvid.stream.animation import player_of
from carvid.stream.folder import VIDEO_SUFFIXES, is_image, natural_key
from carvid.stream.image_file import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Found:
    """Sources found.

    root: the folder to which their paths are relative; absolute. sources: absolute, in a fixed order.
    folders: every folder that was searched or is itself a source; no output may lie in one.
    closed: paths that could not be searched, relative to the root, each with the reason.
    """

    root: Path
    sources: tuple[Path, ...]
    folders: tuple[Path, ...]
    closed: tuple[tuple[str, str], ...]


def find_videos(videos: str) -> Found:
    """The sources that VIDEOS stands for: a folder, a video file, or a glob pattern (`**` for any depth).

    In a folder, each file with a video's suffix is a video, and so is each animation (PNG, WebP, AVIF, TIFF of
    several pages) and each folder that holds images but neither videos nor folders: its images are the frames.
    Hidden files and folders are left out. A folder that cannot be listed is left out, and reported. Links are followed;
    a folder that can be reached in several ways is searched once, by a way without links if there is one. The sources
    come in natural order of their paths.
    Raises InputError if there is no such place, or no video in it.
    """
    path = Path(videos)
    if is_dir(path, InputError):
        root = path.absolute()
        walk = _Walk()
        sources = walk.search(root)
    elif exists(path, InputError):
        root, walk, sources = path.absolute().parent, _Walk(), [path.absolute()]
    elif glob.has_magic(videos):
        root, walk, sources = _by_pattern(videos)
    else:
        raise InputError(
            f"there is no {videos}; give a folder, a video, a glob pattern, a .csv or a .jsonl file"
        )
    closed = tuple((os.path.relpath(each, root), reason) for each, reason in sorted(walk.closed.items()))
    if not sources:
        raise InputError(
            f"no video in {videos}; expected files ending in {', '.join(sorted(VIDEO_SUFFIXES))}"
            + "".join(f"; cannot search {each}: {reason}" for each, reason in closed[:1])
        )
    unique = sorted(set(sources), key=lambda source: natural_key(os.path.relpath(source, root)))
    return Found(root, tuple(unique), tuple(walk.folders), closed)


def _by_pattern(pattern: str) -> tuple[Path, _Walk, list[Path]]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root, rest = Path(*parts[:fixed]).absolute(), list(parts[fixed:])
    if rest[-1] == "**":
        rest.append("*")
    walk = _Walk()
    sources: list[Path] = []
    # Path's glob, as the module glob follows linked folders, even round in circles.
    try:
        matches = sorted(root.glob(str(Path(*rest))))
    except OSError as error:
        raise InputError(f"cannot search {pattern}: {error.strerror or error}") from error
    for path in matches:
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if walk.is_folder(path):
            # `**` also matches every folder on the way; what they hold matches by itself.
            if "**" not in rest or walk.is_frames(path):
                sources.extend(walk.search(path))
        elif is_video(path):
            sources.append(path)
    return root, walk, sources


class _Walk:
    """Searches folders, each one once, whatever links lead to it.

    folders: those it has searched. closed: those it could not search, and what may be a folder, each with the reason.
    """

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.closed: dict[Path, str] = {}
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
        return _are_frames(self._entries(folder))

    def is_folder(self, path: Path) -> bool:
        """Whether it is a folder; what cannot be looked at is none, and closed unless its name is a video's."""
        try:
            found = look(path)
        except OSError as error:
            if not (is_video(path) or is_image(path)):
                self.closed[path] = error.strerror or str(error)
            return False
        return found is not None and stat.S_ISDIR(found.st_mode)

    def _search(self, top: Path, links: list[Path]) -> Iterator[Path]:
        stack = [top]
        while stack:
            folder = stack.pop()
            status = look(folder)
            if status is None or (status.st_dev, status.st_ino) in self._seen:
                continue
            self._seen.add((status.st_dev, status.st_ino))
            self.folders.append(folder)
            entries = self._entries(folder)
            if _are_frames(entries):
                yield folder
                continue
            for entry, is_folder in entries:
                if is_folder:
                    (links if entry.is_symlink() else stack).append(entry)
                elif is_video(entry):
                    yield entry

    def _entries(self, folder: Path) -> list[tuple[Path, bool]]:
        """What is in a folder, hidden files apart, each with whether it is a folder; nothing if it is closed."""
        try:
            entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            self.closed[folder] = error.strerror or str(error)
            return []
        return [(entry, self.is_folder(entry)) for entry in entries]


def _are_frames(entries: Sequence[tuple[Path, bool]]) -> bool:
    return any(is_image(entry) for entry, _ in entries) and not any(
        is_folder or is_video(entry) for entry, is_folder in entries
    )


def is_video(file: Path) -> bool:
    """Whether a file is a video by its suffix, or an image file that holds an animation."""
    if file.name.startswith("."):
        return False
    suffix = file.suffix.lower()
    return suffix in VIDEO_SUFFIXES or (suffix in IMAGE_SUFFIXES and player_of(file) is not None)
