"""One palette PNG per frame, or one per frame and object."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError, OutputError, UsageError
from carvid.frame import Frame
from carvid.media.palette import MAX_LABELS, encode_label_png
from carvid.media.whole_file import output_errors, write_whole
from carvid.paths import exists
from carvid.result import FrameResult


class MaskSink:
    """Writes `<folder>/<frame name>.png`, or `<folder>/<object id>/<frame name>.png` when `separate`.

    Every file is an 8-bit palette PNG in the DAVIS palette, and is either complete or not there. A label map holds,
    per pixel, the id of the object that responds most, 0 for background. A separate mask holds the object's own mask,
    which may overlap another's: 0 outside and the id inside, so that it has the same colour as in the label map and
    the overlay; after id 255 the labels start again from 1. Without tracks the ids are the positions (1..N) of the
    queries, and every frame has a file for each; a track's folder holds the frames that it is in. Folders are named by
    id, not by query, so that no character of a query gets into a file name.

    Args:
        folder: made when the sink is entered.
        separate: one mask per object instead of one label map.
        n_queries: N.

    Raises:
        UsageError: more queries than a label map can tell apart (255), unless `separate`.
    """

    def __init__(self, folder: Path, *, separate: bool, n_queries: int) -> None:
        if n_queries > MAX_LABELS and not separate:
            raise UsageError(
                f"{n_queries} queries do not fit into an 8-bit label map, which holds {MAX_LABELS}; "
                "write one mask per query (--separate) or give fewer queries"
            )
        self.folder = folder
        self.separate = separate
        self.n_queries = n_queries
        self._hashes: dict[str, str] = {}

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256, in hexadecimal, of each file of the last frame written, by its path below the folder, with "/"."""
        return self._hashes

    def __enter__(self) -> MaskSink:
        _make(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open between frames."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write the frame's mask or masks.

        Raises:
            InputError: if the frame's name cannot be a file's.
            OutputError: if a file cannot be written, or another frame of the same name was written before.
        """
        file_name = _file_name(frame.name)
        self._hashes = {}
        if not self.separate:
            self._write(file_name, result.label_map)
            return
        for one in result.objects:
            _make(self.folder / str(one.id))
            self._write(f"{one.id}/{file_name}", one.mask * separate_label(one.id))

    def _write(self, name: str, label_map: NDArray[np.uint8]) -> None:
        path = self.folder / name
        # Checked on the disk: a set of names would grow with the video, and would not know where "A" and "a" are one
        # file.
        if exists(path, OutputError):
            raise OutputError(f"{path} exists already: two frames of the source share the name {path.stem!r}")
        data = encode_label_png(label_map)
        write_whole(path, data)
        self._hashes[name] = hashlib.sha256(data).hexdigest()


def separate_label(object_id: int) -> np.uint8:
    """The label that an object has in a mask of its own, in [1, 255]."""
    return np.uint8((object_id - 1) % MAX_LABELS + 1)


def _make(folder: Path) -> None:
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _file_name(name: str) -> str:
    if not name or "\0" in name or Path(name).name != name or "\\" in name:
        raise InputError(f"frame name {name!r} cannot name a file: it is empty, or holds a path separator")
    return f"{name}.png"
