"""The output folder: what is where in it, and when carvid may write there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from carvid.errors import InputError, OutputError
from carvid.media.locks import LOCK_FILE, check_free
from carvid.media.whole_file import PART_GLOB, output_errors
from carvid.paths import exists, is_dir, real
from carvid.sinks.run_record import read_manifest

MASKS = "masks"
OVERLAY = "overlay.mp4"
RESULTS = "results.jsonl"
MANIFEST = "run.json"
_OWNED = (MASKS, OVERLAY, RESULTS, MANIFEST)


def check_output(out: Path, source: Path | None, *, overwrite: bool) -> None:
    """Check, without changing anything, whether a run may write to `out`.

    Args:
        out: the output folder; it need not exist.
        source: the run's source, which the output must not be mixed with or replace; None if it has no path.
        overwrite: allow a folder that is not empty.

    Raises:
        OutputError: if another process is writing to `out`; if it is not empty and `overwrite` is not set; if it
            is not a folder or cannot be written; if the source is `out` or lies where carvid writes; if, with
            `overwrite`, something has the name of one of carvid's outputs and there is no run.json to show that
            carvid wrote it.
    """
    check_free(out)
    _check(out, source, overwrite)


def prepare_output(out: Path, source: Path | None, *, overwrite: bool) -> None:
    """Check `out` as `check_output` does, make it, and remove what carvid wrote there before.

    The folder may hold something only with `overwrite`. Nothing else is removed: of masks/, only the PNG files in it
    and in its numbered folders. The caller holds a `carvid.media.locks.FolderLock` on `out`.

    Raises:
        OutputError: as `check_output`, or if the folder cannot be made or cleared.
    """
    _check(out, source, overwrite)
    with output_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        _clear(out)


def _check(out: Path, source: Path | None, overwrite: bool) -> None:
    if source is not None:
        _check_source(out, source)
    if not exists(out, OutputError):
        # A dangling symbolic link does not "exist", but mkdir would stumble over it.
        if out.is_symlink():
            raise OutputError(
                f"{out} is a symbolic link to nothing; remove it or choose another output folder"
            )
        _check_writable(next(parent for parent in out.absolute().parents if exists(parent, OutputError)))
        return
    if not is_dir(out, OutputError):
        raise OutputError(f"{out} is not a folder; choose another output folder")
    _check_writable(out)
    entries = _entries(out)
    if not entries:
        return
    if not overwrite:
        shown = ", ".join(entries[:4]) + (", ..." if len(entries) > 4 else "")
        raise OutputError(
            f"output folder {out} is not empty ({shown}); choose another one, "
            "or give --overwrite to replace what carvid wrote there"
        )
    owned = [name for name in _OWNED if name in entries]
    if owned and not _is_carvids(out):
        raise OutputError(
            f"{out} holds {', '.join(owned)} but no run.json of carvid's, so carvid did not write it "
            "and does not overwrite it; move it away or choose another output folder"
        )


def _check_source(out: Path, source: Path) -> None:
    place, origin = real(out), real(source)
    if place == origin:
        raise OutputError(f"the output folder {out} is the source itself; choose another output folder")
    for name in _OWNED:
        owned = real(out / name)
        if origin == owned or owned in origin.parents:
            raise OutputError(
                f"the source {source} lies where the output would be written ({out / name}); "
                "choose another output folder"
            )


def _check_writable(folder: Path) -> None:
    if not is_dir(folder, OutputError):
        raise OutputError(f"{folder} is not a folder; choose another output folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {folder}; make it writable or choose another output folder")


def _entries(out: Path) -> list[str]:
    with output_errors(out):
        return sorted(entry.name for entry in out.iterdir() if entry.name != LOCK_FILE)


def _is_carvids(out: Path) -> bool:
    try:
        read_manifest(out / MANIFEST)
    except InputError:
        return False
    return True


def _clear(out: Path) -> None:
    masks = out / MASKS
    if masks.is_symlink():
        # A folder that a link points to is not ours to empty.
        masks.unlink()
    elif is_dir(masks, OutputError):
        numbered = [entry for entry in masks.iterdir() if entry.name.isdecimal() and not entry.is_symlink()]
        for folder in (*(entry for entry in numbered if is_dir(entry, OutputError)), masks):
            _remove((*folder.glob("*.png"), *folder.glob(PART_GLOB)))
            if not any(folder.iterdir()):
                folder.rmdir()
    # run.json goes last: if clearing is cut short, it still shows who wrote the rest.
    _remove((*out.glob(PART_GLOB), *(out / name for name in (OVERLAY, RESULTS, MANIFEST))))


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
