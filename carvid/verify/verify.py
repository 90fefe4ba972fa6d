"""Checking an output folder of `carvid run` or a dataset of `carvid annotate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from carvid.errors import InputError, UsageError
from carvid.paths import exists, is_dir, is_file
from carvid.sinks.output import MANIFEST
from carvid.store.database import open_dataset
from carvid.store.schema import DATABASE
from carvid.verify.check import Check
from carvid.verify.dataset_folder import DatasetFolder
from carvid.verify.rerun_dataset import rerun_dataset
from carvid.verify.rerun_run import rerun_run
from carvid.verify.run_folder import RunFolder


def verify(
    folder: Path,
    *,
    source: Path | None = None,
    rerun: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Iterator[Check]:
    """Check what a folder holds against what it recorded; each check as soon as it is done.

    source: where a run's source lies now; None for where it was. rerun: how many random frames to make again, chosen
    by `seed`; None for none. device: where to compute these; None for the recorded one if this machine has it.
    Raises InputError where there is no such folder, or nothing of carvid's in it that can be read, and UsageError for
    options that cannot be used.
    """
    if rerun is not None and rerun < 1:
        raise UsageError(f"rerun is {rerun}; expected at least 1 frame")
    if not is_dir(folder, InputError):
        what = "is not a folder" if exists(folder, InputError) else "is not there"
        raise InputError(f"{folder} {what}; give a folder that carvid wrote")
    if is_file(folder / DATABASE, InputError):
        if source is not None:
            raise UsageError("a dataset knows where its videos are; give --source with a run's folder alone")
        return _dataset(folder, rerun, seed, device)
    if not is_file(folder / MANIFEST, InputError):
        raise InputError(
            f"{folder} holds neither {MANIFEST} nor {DATABASE}; give a folder that `carvid run` or `carvid annotate` "
            "wrote"
        )
    return _run(RunFolder(folder, source), rerun, seed, device)


def _run(run: RunFolder, rerun: int | None, seed: int, device: str | None) -> Iterator[Check]:
    yield from run.checks()
    if rerun is not None:
        yield rerun_run(run, rerun, seed, device)


def _dataset(path: Path, rerun: int | None, seed: int, device: str | None) -> Iterator[Check]:
    with open_dataset(path) as dataset:
        folder = DatasetFolder(dataset)
        yield from folder.checks()
        if rerun is not None:
            yield rerun_dataset(folder, rerun, seed, device)
