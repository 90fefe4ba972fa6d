"""The output folder of an export: written beside its place, then moved there whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path
from types import TracebackType

from carvid.errors import OutputError
from carvid.media.json_text import load_json
from carvid.media.locks import FolderLock
from carvid.media.whole_file import output_errors

INDEX = "index.json"
"""The file by which an export of carvid's is recognised, in every format."""

MARK = "carvid_export"
"""The key of `INDEX` that holds the version of its layout."""


class TextFile:
    """A UTF-8 file being written. Raises OutputError where it cannot be."""

    def __init__(self, path: Path, file: BufferedWriter) -> None:
        self._path, self._file = path, file

    def write(self, text: str) -> None:
        with output_errors(self._path):
            self._file.write(text.encode("utf-8"))


class OutputTree:
    """A new folder that takes the place of `out` if its block ends without an error, and is removed otherwise.

    With `overwrite`, an earlier export of carvid's (recognised by its index.json) is replaced once the new one is
    complete. Nothing else is ever replaced.

    Raises:
        OutputError: if `out` exists and may not be replaced, holds `dataset`, cannot be written, or is being
            written by another process.
    """

    def __init__(self, out: Path, dataset: Path, *, overwrite: bool) -> None:
        self.out = out
        self._overwrite = overwrite
        self._dataset = dataset
        # Not derived from out.name: with a suffix added, a name of legal length could become too long.
        self._parts = out.absolute().parent / f".carvid-{os.getpid()}-{secrets.token_hex(4)}.part"
        self._lock = FolderLock(out, beside=True)

    def __enter__(self) -> OutputTree:
        # Again once nobody else writes there; this one leaves a place that is refused as it is.
        self._check()
        self._lock.__enter__()
        try:
            self._check()
            with output_errors(self.out):
                self._parts.mkdir()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._publish()
        finally:
            # A failure on its way up matters more than one of this clean-up.
            shutil.rmtree(self._parts, ignore_errors=True)
            self._lock.__exit__(kind, error, trace)

    def write(self, relative: str, data: bytes) -> None:
        """Write a file, making its folder."""
        path = self._place(relative)
        with output_errors(self.out / relative):
            path.write_bytes(data)

    @contextmanager
    def text(self, relative: str) -> Iterator[TextFile]:
        """A UTF-8 file to be written piece by piece."""
        path = self._place(relative)
        with output_errors(self.out / relative):
            file = path.open("wb")
        try:
            yield TextFile(self.out / relative, file)
        except BaseException:
            # The folder is thrown away; what the buffer still holds need not reach a disk that may be full.
            file.raw.close()
            raise
        with output_errors(self.out / relative):
            file.close()

    def _place(self, relative: str) -> Path:
        path = self._parts / relative
        with output_errors(self.out / relative):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _check(self) -> None:
        place, dataset = self.out.resolve(), self._dataset.resolve()
        if place == dataset or place in dataset.parents:
            raise OutputError(
                f"the dataset {self._dataset} lies in the output folder {self.out}; choose another folder"
            )
        if self.out.is_symlink() or (self.out.exists() and not self.out.is_dir()):
            raise OutputError(f"{self.out} exists and is not a folder; choose another output folder")
        if not self.out.exists():
            return
        with output_errors(self.out):
            is_empty = not any(self.out.iterdir())
        if is_empty:
            return
        if not self._overwrite:
            raise OutputError(
                f"output folder {self.out} is not empty; choose another one, or give --overwrite to replace "
                "an earlier export"
            )
        if not _is_export(self.out):
            raise OutputError(
                f"{self.out} holds no {INDEX} of carvid's, so it is not an earlier export and is not "
                "overwritten; move it away or choose another output folder"
            )

    def _publish(self) -> None:
        with output_errors(self.out):
            if not self.out.exists():
                self._parts.rename(self.out)
                return
            earlier = self._parts.with_suffix(".old.part")
            self.out.rename(earlier)
            try:
                self._parts.rename(self.out)
            except BaseException:
                earlier.rename(self.out)
                raise
        shutil.rmtree(earlier, ignore_errors=True)


def _is_export(folder: Path) -> bool:
    try:
        index = load_json((folder / INDEX).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and MARK in index
