"""From videos and queries to a labelled dataset."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from carvid.annotate.intake import Intake, check_place, read_intake
from carvid.annotate.label import StreamOptions, check_can_be_cut
from carvid.annotate.leases import WORK, Presence
from carvid.annotate.shared_turns import DatasetTurns
from carvid.errors import InputError, OutputError, UsageError
from carvid.interrupt import first_interrupt
from carvid.media.whole_file import output_errors
from carvid.paths import exists, is_dir
from carvid.recipe import Recipe
from carvid.store.agreement import changed_sources, register
from carvid.store.ledger import Ledger
from carvid.store.moves import adopt_moved, reroot
from carvid.store.pieces import Pieces
from carvid.store.schema import database_path
from carvid.store.status import Status, read_status
from carvid.store.task import VideoRequest
from carvid.workers.states import DONE
from carvid.workers.supervise import Supervisor, WorkOptions, WorkProgress, workforce_at

_SHOWN = 5


@dataclass(frozen=True)
class DatasetSummary:
    """The result of labelling a dataset.

    seconds: wall-clock seconds of this run. interrupted: ended by Ctrl-C. moved: how many videos were found at
    another path than before. closed: paths that this run could not search for videos, each with the reason.
    """

    status: Status
    seconds: float
    interrupted: bool
    moved: int = 0
    closed: tuple[tuple[str, str], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every video is labelled, with every frame, and every folder could be searched."""
        status = self.status
        return not self.closed and not status.damaged and status.counts[DONE] == sum(status.counts.values())

    def to_json(self) -> dict[str, Any]:
        return {
            **self.status.to_json(),
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "moved": self.moved,
            "not_searched": [{"path": path, "reason": reason} for path, reason in self.closed],
        }


def annotate(
    videos: str,
    dataset: Path,
    recipe: Recipe,
    *,
    queries: Sequence[str] = (),
    queries_file: Path | None = None,
    stream: StreamOptions | None = None,
    work: WorkOptions | None = None,
    retry_failed: bool = False,
    overwrite: bool = False,
    moved: Sequence[tuple[Path, Path]] = (),
    ray: str | None = None,
    progress: WorkProgress | None = None,
) -> DatasetSummary:
    """Label every video of a dataset that is not labelled yet.

    What is done stays done, however the process ends; running it again continues. Several processes may work on one
    dataset and share the videos. On the first Ctrl-C, videos that are nearly done get a moment to finish; a second one
    raises `KeyboardInterrupt` at once.

    Args:
        videos, queries, queries_file: see `carvid.annotate.intake.read_intake`.
        recipe: the model and the settings that make the labels.
        dataset: a folder that does not exist, is empty, or holds a dataset.
        retry_failed: label failed videos again.
        ray: the address of a Ray cluster on which the workers run as actors; None: as processes on this machine.
        overwrite: discard labels that were made with other settings, queries or files.
        moved: folders or files that were moved, each with its new place; see `carvid.store.moves.reroot`. Videos that
            `adopt_moved` recognises need not be named.

    Raises:
        UsageError: options that cannot be used; settings, queries or files other than those of the dataset.
        InputError: videos or queries that cannot be found or read; weights.
        OutputError: if the dataset cannot be written.
    """
    started = time.monotonic()
    stream, work = stream or StreamOptions(), work or WorkOptions()
    # One frame at a time: how many fit into a batch varies from run to run, and with it the last digits of sums.
    recipe = replace(recipe, batch=1)
    intake = read_intake(videos, queries, queries_file)
    if stream.piece is not None:
        _check_pieces(recipe, intake)
    _check_dataset(dataset, intake)
    with output_errors(dataset):
        dataset.mkdir(parents=True, exist_ok=True)
    with Presence(dataset) as presence:
        presence.sweep()
        with presence.alone():
            ledger = Ledger(dataset, presence.owner)
        with ledger:
            ledger.recover(presence.dead(ledger.lease_owners()))
            moves = sum(reroot(ledger, old, new) for old, new in moved)
            moves += adopt_moved(ledger, intake.requests)
            changed = register(ledger, intake.requests, replace=overwrite)
            if changed and not overwrite:
                raise UsageError(_changed("queries", [_queries(*pair) for pair in changed]))
            files = changed_sources(ledger, replace=overwrite)
            if files and not overwrite:
                raise UsageError(_changed("files", files))
            if retry_failed:
                ledger.retry_failed()
            if progress is not None and intake.overruled:
                progress.note(_overruled(intake.overruled))
            with first_interrupt() as interrupt, workforce_at(ray, work.workers) as workforce:
                turns = ledger if stream.piece is None else Pieces(ledger, stream.piece, stream.every)
                tasks = DatasetTurns(ledger, turns, presence, replace=overwrite)
                job = "carvid.annotate.label:Labelling", asdict(stream)
                with Supervisor(tasks, recipe, job, work, workforce, presence.folder) as supervisor:
                    finished = supervisor.run(interrupt, progress)
            status = read_status(dataset)
    return DatasetSummary(status, time.monotonic() - started, not finished, moves, intake.closed)


def _check_pieces(recipe: Recipe, intake: Intake) -> None:
    if recipe.instances:
        raise UsageError(
            "pieces cannot be labelled with instances: no thing is followed from one piece to the next; "
            "leave out --piece or --instances"
        )
    for request in intake.requests:
        # One that cannot be looked at costs itself alone.
        with suppress(InputError):
            check_can_be_cut(Path(request.source))


def _check_dataset(dataset: Path, intake: Intake) -> None:
    check_place(dataset, intake.folders)
    if not exists(dataset, OutputError):
        if dataset.is_symlink():
            raise OutputError(f"{dataset} is a symbolic link to nothing; remove it or choose another folder")
        return
    if not is_dir(dataset, OutputError):
        raise OutputError(f"{dataset} is not a folder; choose another one")
    if not os.access(dataset, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {dataset}; make it writable or choose another folder")
    with output_errors(dataset):
        # A process that was killed before it made the database leaves WORK behind.
        entries = sorted(entry.name for entry in dataset.iterdir() if entry.name != WORK)
    if entries and not exists(database_path(dataset), OutputError):
        raise OutputError(
            f"{dataset} is not empty ({', '.join(entries[:_SHOWN])}) and holds no "
            f"{database_path(dataset).name}; choose another folder"
        )


def _overruled(videos: int) -> str:
    which = f"{videos} video{'s' if videos > 1 else ''}"
    return f"the manifest has queries for {which}; -q and --queries-file have no effect there"


def _queries(before: VideoRequest, after: VideoRequest) -> str:
    return f"{after.path}: {list(before.queries)} before, {list(after.queries)} now"


def _changed(what: str, lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - _SHOWN} more videos"] if len(lines) > _SHOWN else []
    return (
        f"this dataset was labelled with other {what}:\n  "
        + "\n  ".join([*lines[:_SHOWN], *more])
        + "\nchoose another folder, or give --overwrite to discard the labels of these videos"
    )
