"""The videos and images in the folders named at the start, and nothing outside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from carvid.annotate.discovery import is_video
from carvid.errors import InputError, UsageError
from carvid.paths import is_dir, is_file, real
from carvid.serve.answers import NotFoundError
from carvid.stream.folder import is_image, is_image_name, natural_key

_ID_DIGITS = 16


@dataclass(frozen=True)
class NamedVideo:
    """A video. id: the same at each start for the same path. folder: the one it is in. path: below that, with /."""

    id: str
    folder: Path
    path: str

    def opened(self) -> Path:
        """Where it is. Raises InputError where that has come to lead out of the folder."""
        place = self.folder / self.path
        each = [place, *place.iterdir()] if is_dir(place, InputError) else [place]
        if not all(_is_inside(path, self.folder) for path in each):
            raise InputError(f"{self.path} is, or holds, a link that leads out of its folder")
        return place


class MediaFolders:
    """Folders, by their real paths. Links that lead out of a folder are not followed, nor are linked folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """Raises UsageError for what is no folder."""
        for folder in folders:
            if not is_dir(folder, UsageError):
                raise UsageError(f"there is no folder {folder}")
        self.folders = tuple(dict.fromkeys(real(folder) for folder in folders))

    def videos(self) -> list[NamedVideo]:
        """The videos, folder by folder, in natural order of their paths.

        What counts as one is as for `carvid annotate`: files by suffix, animations, and folders that hold images alone.
        """
        return [
            _named(folder, path)
            for folder in self.folders
            for path in sorted(_search(folder), key=natural_key)
        ]

    def video(self, name: str) -> NamedVideo:
        """The video with this id. Raises NotFoundError."""
        for video in self.videos():
            if video.id == name:
                return video
        raise NotFoundError(f"there is no video {name!r}; GET /v1/videos lists those there are")

    def image(self, path: str) -> Path:
        """The image at a path below one of the folders, parts divided by `/`.

        Raises InputError for a path that leaves its folder, is no image, is in no folder, or in more than one.
        """
        parts = PurePosixPath(path.lstrip("/")).parts
        if not parts or ".." in parts or not is_image_name(parts[-1]):
            raise InputError(f"the path {path!r} is no image below a folder")
        found = []
        for folder in self.folders:
            place = folder.joinpath(*parts)
            if is_file(place, InputError) and _is_inside(place, folder):
                found.append(place)
        if not found:
            raise InputError(
                f"there is no image {path!r} in the folders that this server was started with (--folder)"
            )
        if len(found) > 1:
            raise InputError(f"the image {path!r} is in {len(found)} of this server's folders; expected one")
        return found[0]


def _named(folder: Path, path: str) -> NamedVideo:
    told = f"{folder}\0{path}".encode("utf-8", "surrogateescape")
    return NamedVideo(hashlib.sha256(told).hexdigest()[:_ID_DIGITS], folder, path)


def _search(folder: Path) -> Iterator[str]:
    """The paths of the videos below a folder, relative to it, with /. A folder that cannot be listed is left out."""
    for top, names, files in os.walk(folder):
        here = Path(top)
        names[:] = [name for name in names if not name.startswith(".")]
        shown = [here / name for name in files if not name.startswith(".")]
        own = [path for path in shown if is_file(path, InputError) and _is_inside(path, folder)]
        videos = [path for path in own if is_video(path)]
        yield from (path.relative_to(folder).as_posix() for path in videos)
        # Of a folder of images, all must be its own: they are the frames.
        if not videos and not names and len(own) == len(shown) and any(is_image(path) for path in own):
            yield here.relative_to(folder).as_posix()


def _is_inside(path: Path, folder: Path) -> bool:
    return real(path).is_relative_to(folder)
