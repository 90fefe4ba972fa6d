"""Running a benchmark: its samples go to workers as tasks, and what comes back goes below the output folder.

A sample is done when its record is there, which is written after its masks. What is done stays done, however the
process ends; running again goes on.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from carvid.errors import OutputError, UsageError
from carvid.evaluate.contract import Painter, Sample
from carvid.evaluate.records import RECORDS, joined, read_record, record_of, record_path
from carvid.evaluate.tasks import ALONE, SampleTask, tasks
from carvid.interrupt import first_interrupt
from carvid.media.json_text import load_json
from carvid.media.whole_file import output_errors, write_whole
from carvid.paths import exists
from carvid.recipe import Recipe
from carvid.recipe.record import differences
from carvid.workers.states import DONE, FAILED, RUNNING, WAITING
from carvid.workers.supervise import Supervisor, WorkOptions, WorkProgress, workforce_at

# How many names of files in the way a message lists.
_SHOWN = 5

# In the output folder, for the workers' files.
_WORK = ".carvid-work"

JOB = "carvid.evaluate.segmenting:Segmenting"


@dataclass(frozen=True)
class Ran:
    """What a run came to: how many samples, with how many frames, were run now, how many earlier runs had done, which
    failed and why, and whether Ctrl-C ended it."""

    samples: int
    frames: int
    done_before: int
    failed: Mapping[str, str]
    interrupted: bool


def run_benchmark(
    painter: Painter,
    part: str,
    samples: Sequence[Sample],
    recipe: Recipe,
    out: Path,
    *,
    work: WorkOptions | None = None,
    ray: str | None = None,
    rows: Mapping[str, Mapping[str, Any]] = ALONE,
    overwrite: bool = False,
    progress: WorkProgress | None = None,
) -> Ran:
    """Run the samples that are not done yet, and write what `Painter.paint` gives for them, and a record of each.

    part: what of the data set this is, such as its split; a folder holds one.
    ray: the address of a Ray cluster; None: workers are processes on this machine.
    rows: see `carvid.evaluate.segmenting.Segmenting`; what is written for a row goes into a folder of its name.
    The caller holds a `carvid.media.locks.FolderLock` on `out`, for as long as it needs the masks.

    Raises OutputError where `out` holds a run of another benchmark, part, weights or settings, unless `overwrite`,
    which removes that run first; UsageError, WeightsError.
    """
    work = work or WorkOptions()
    # As many images together as are asked for, always: sums differ in their last digits from batch to batch.
    recipe = replace(recipe, batch=recipe.batch or 1)
    if len({sample.name for sample in samples}) < len(samples):
        raise UsageError("two samples have the same name")
    folder = out / _WORK
    with output_errors(out):
        # One that was killed leaves it behind.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    turns = SampleTurns(
        painter.name, part, tasks(samples, recipe.batch or 1), out, rows=tuple(rows), overwrite=overwrite
    )
    job = JOB, {"name": painter.name, "rows": {row: dict(changes) for row, changes in rows.items()}}
    try:
        with (
            first_interrupt() as interrupt,
            workforce_at(ray, work.workers) as workforce,
            Supervisor(turns, recipe, job, work, workforce, folder) as supervisor,
        ):
            finished = supervisor.run(interrupt, progress)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Ran(turns.ran, turns.frames, turns.done_before, turns.failed, not finished)


class SampleTurns:
    """The tasks of one run, which no other process shares; see `carvid.workers.job.Turns`."""

    def __init__(
        self,
        name: str,
        part: str,
        every: Sequence[SampleTask],
        out: Path,
        *,
        rows: Sequence[str] = ("",),
        overwrite: bool = False,
    ) -> None:
        """every: the tasks of all samples. out: exists. rows: folders in it that samples are run for; "": itself."""
        self._rows = rows
        self._part, self._out, self._overwrite = part, out, overwrite
        self._every = every
        self._file = RunFile(out, name)
        self._waiting: deque[SampleTask] = deque()
        self._running: set[SampleTask] = set()
        self.ran = self.frames = self.done_before = 0
        self.failed: dict[str, str] = {}

    def agree(self, description: Mapping[str, Any]) -> None:
        """Raises OutputError where the folder holds another run, unless it may be overwritten, once."""
        self._file.claim(self._part, description, overwrite=self._overwrite)
        self._overwrite = False
        if self._every:
            todo = [task for task in self._every if not all(map(self._is_done, task.samples))]
            self._waiting.extend(todo)
            self.done_before = sum(len(task.samples) for task in self._every) - _samples(todo)
            self._every = ()

    def claim(self, lease_seconds: float) -> SampleTask | None:
        if not self._waiting:
            return None
        task = self._waiting.popleft()
        self._running.add(task)
        return task

    def waiting(self, most: int) -> int:
        return min(most, len(self._waiting))

    def renew(self, lease_seconds: float, frames: Mapping[SampleTask, int]) -> set[SampleTask]:
        return set()

    def commit(self, task: SampleTask, staged: Path, outcome: Mapping[str, Any]) -> bool:
        failed = outcome["failed"]
        with ZipFile(staged) as packed:
            for entry in packed.infolist():
                place, _, name = entry.filename.partition("/")
                sample, data = task.samples[int(place)].name, packed.read(entry)
                if sample in failed:
                    continue
                path = self._out / name
                if name.endswith(record_path(sample)):
                    folder = Path(str(path).removesuffix(record_path(sample)))
                    data = joined(record_of(data), read_record(folder, sample)).to_bytes()
                self._file.add(name.split("/")[0])
                with output_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, data)
        self._running.discard(task)
        done = [sample for sample in task.samples if sample.name not in failed]
        self.ran += len(done)
        self.frames += sum(len(sample.frames) for sample in done)
        self.failed.update(failed)
        return True

    def fail(self, task: SampleTask, error: str) -> bool:
        self._running.discard(task)
        self.failed.update({sample.name: error for sample in task.samples})
        return True

    def release(self, task: SampleTask) -> bool:
        self._running.discard(task)
        self._waiting.appendleft(task)
        return True

    def done(self, whole: int) -> int:
        return 0

    def counts(self) -> dict[str, int]:
        return {
            WAITING: _samples(self._waiting),
            RUNNING: _samples(self._running),
            DONE: self.done_before + self.ran,
            FAILED: len(self.failed),
        }

    def is_complete(self) -> bool:
        return not self._waiting and not self._running

    def _is_done(self, sample: Sample) -> bool:
        """Whether there are records of it, for every row, that have all its query sets with the same queries."""
        records = [read_record(self._out / row, sample.name) for row in self._rows]
        return all(
            record is not None
            and all(
                one.name in record.asked and record.asked[one.name].queries == one.queries
                for one in sample.asked
            )
            for record in records
        )


def _samples(some: Sequence[SampleTask] | deque[SampleTask] | set[SampleTask]) -> int:
    return sum(len(task.samples) for task in some)


@dataclass
class RunFile:
    """<name>.json in the output folder: what the run there is made with, and which names below it are the run's.

    A folder holds one run.
    """

    out: Path
    name: str
    _content: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.out / f"{self.name}.json"

    def claim(self, part: str, description: Mapping[str, Any], *, overwrite: bool) -> None:
        """Make the folder a run of this part and description, or go on with one.

        Raises OutputError where it holds another, unless `overwrite`, which removes that one, and where it holds what
        is no run.
        """
        if exists(self.path, OutputError):
            before = self._read()
            changed = differences(before["model"], description)
            if before["part"] != part:
                changed = [f"{before['part']} before, {part} now", *changed]
            if not changed:
                self._content = before
                return
            if not overwrite:
                raise OutputError(
                    f"{self.out} holds another run ({'; '.join(changed)}); "
                    "choose another output folder, or give --overwrite to remove that run"
                )
            # A record that stayed would count as one of the new run.
            with output_errors(self.out):
                for name in sorted({*before["wrote"], RECORDS}):
                    if exists(self.out / name, OutputError):
                        shutil.rmtree(self.out / name)
        elif others := self._others():
            raise OutputError(
                f"{self.out} is not empty ({', '.join(others[:_SHOWN])}) and holds no {self.path.name}; "
                "choose another output folder"
            )
        self._content = {"part": part, "wrote": [], "model": dict(description)}
        self._write()

    def _others(self) -> list[str]:
        with output_errors(self.out):
            return sorted(entry.name for entry in self.out.iterdir() if not entry.name.startswith("."))

    def add(self, name: str) -> None:
        """From now on, this name in the folder is the run's."""
        if name not in self._content["wrote"]:
            self._content["wrote"].append(name)
            self._write()

    def _read(self) -> dict[str, Any]:
        try:
            content = load_json(self.path.read_bytes())
            return {
                "part": str(content["part"]),
                "wrote": list(map(str, content["wrote"])),
                "model": dict(content["model"]),
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{self.path} cannot be read ({error}); choose another output folder"
            ) from error

    def _write(self) -> None:
        write_whole(self.path, json.dumps(self._content, indent=1).encode() + b"\n")
