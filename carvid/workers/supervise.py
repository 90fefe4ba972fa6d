"""Starts the workers of one process, gives them tasks, watches them and replaces those that die."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol

from carvid import errors
from carvid.errors import OutputError, UsageError, WeightsError
from carvid.interrupt import Interrupt
from carvid.recipe import Recipe
from carvid.weights import downloads
from carvid.weights.downloads import Download
from carvid.workers.child import Inbox, Message
from carvid.workers.job import T, Turns
from carvid.workers.worker import Setup
from carvid.workers.workforce import LocalWorkforce, Worker, Workforce

_TICK_SECONDS = 0.2
_START_TRIES = 3


@dataclass(frozen=True)
class WorkOptions:
    """How the work is done; nothing here changes what comes of it.

    workers: how many there are; each loads the model.
    stall_seconds: a worker that reports nothing for this long while it works is ended; its task counts as failed.
    lease_seconds: how long a lease lasts unless it is renewed.
    tries: how often a task is begun in one run, if its worker dies each time, before it counts as failed.
    grace_seconds: how long tasks that are nearly done may take to finish after Ctrl-C.
    """

    workers: int = 1
    stall_seconds: float = 300.0
    lease_seconds: float = 60.0
    tries: int = 2
    grace_seconds: float = 2.0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"workers is {self.workers}; expected at least 1")
        if self.stall_seconds <= 0:
            raise UsageError(f"stall_seconds is {self.stall_seconds:g}; expected more than 0")


class WorkProgress(Protocol):
    """Is told how far the work has got."""

    def update(self, counts: Mapping[str, int], working: Mapping[str, tuple[int, int | None]]) -> None:
        """Called now and then. counts: how many wholes are in each state. working: frames done and expected of those
        at work, by `WorkTask.path`."""
        ...

    def note(self, line: str) -> None:
        """Before the work, what of the request has no effect."""
        ...


@dataclass
class _Hired(Generic[T]):
    worker: Worker
    index: int
    ready: bool = False
    task: T | None = None
    staged: Path = Path()
    frames: int = 0
    expected: int | None = None
    heard: float = field(default_factory=time.monotonic)


class Supervisor(Generic[T]):
    """Has waiting tasks done; a context manager that ends the workers and releases their tasks."""

    def __init__(
        self,
        turns: Turns[T],
        recipe: Recipe,
        job: tuple[str, Mapping[str, Any]],
        options: WorkOptions,
        workforce: Workforce,
        folder: Path,
    ) -> None:
        """turns: what the tasks are. job: `Setup.job` and `Setup.options`. workforce: where the workers run.
        folder: for the workers' files; it exists.
        """
        self._turns, self._recipe, self._job = turns, recipe, job
        self._options, self._workforce, self._folder = options, workforce, folder
        self._inbox: Inbox = queue.SimpleQueue()
        self._workers: dict[Worker, _Hired[T]] = {}
        self._deaths: dict[T, int] = {}
        self._failed_starts = 0
        self._agreed = False
        self._renewed = time.monotonic()

    def run(self, interrupt: Interrupt, progress: WorkProgress | None = None) -> bool:
        """Work until no task is waiting or being worked on by anybody; False if an interrupt came first.

        The first worker starts alone, so that what is wrong with the model or the settings is reported once, and
        weights are fetched once.
        Raises what `Turns` raises, and WeightsError.
        """
        self._start(0)
        stop_at: float | None = None
        while True:
            if interrupt.requested:
                stop_at = stop_at or time.monotonic() + self._options.grace_seconds
                if not self._busy() or time.monotonic() > stop_at:
                    return False
            elif self._agreed:
                self._hand_out()
                if not self._busy() and self._turns.is_complete():
                    return True
            self._take_messages()
            self._end_stalled()
            self._renew(progress)

    def __enter__(self) -> Supervisor[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hired in self._workers.values():
            hired.worker.kill()
        for hired in self._workers.values():
            hired.worker.end()
        for hired in self._busy():
            # On a full disk this fails too; once this process has ended, others see that its leases are void.
            with suppress(OutputError):
                if hired.task is not None:
                    self._turns.release(hired.task)
        self._workers.clear()

    def _busy(self) -> list[_Hired[T]]:
        return [hired for hired in self._workers.values() if hired.task is not None]

    def _start(self, index: int) -> None:
        threads = max(1, self._workforce.cores // self._options.workers)
        setup = Setup(self._recipe, *self._job, index, threads)
        worker = self._workforce.start(setup, self._inbox)
        self._workers[worker] = _Hired(worker, index)

    def _hand_out(self) -> None:
        for hired in self._workers.values():
            if hired.ready and hired.task is None:
                task = self._turns.claim(self._options.lease_seconds)
                if task is None:
                    return
                hired.task, hired.frames, hired.expected = task, 0, None
                hired.heard = time.monotonic()
                hired.staged = self._folder / f"{task.key}.staged"
                hired.worker.work(task, hired.staged)
        free = sorted(set(range(self._options.workers)) - {hired.index for hired in self._workers.values()})
        if free:
            starting = sum(not hired.ready for hired in self._workers.values())
            wanted = self._turns.waiting(len(free) + starting) - starting
            for index in free[: max(0, wanted)]:
                self._start(index)

    def _take_messages(self) -> None:
        try:
            worker, message = self._inbox.get(timeout=_TICK_SECONDS)
            while True:
                # Messages of a worker that has been dismissed may still arrive.
                if worker in self._workers:
                    self._take(self._workers[worker], message)
                worker, message = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _take(self, hired: _Hired[T], message: Message | None) -> None:
        hired.heard = time.monotonic()
        if message is None:
            self._bury(hired)
        elif message["kind"] == "ready":
            self._turns.agree(message["description"])
            self._agreed = True
            hired.ready, self._failed_starts = True, 0
        elif message["kind"] == "download":
            downloads.watching().begin(Download.from_json(message["download"]))
        elif message["kind"] == "refused":
            raise getattr(errors, message["error"])(message["message"])
        elif hired.task is None:
            return
        elif message["kind"] == "progress":
            hired.frames, hired.expected = message["frames"], message["expected"]
        elif message["kind"] == "unwritable":
            raise OutputError(message["message"])
        else:
            if message["kind"] == "failed":
                self._turns.fail(hired.task, message["message"])
            else:
                self._turns.commit(hired.task, hired.staged, message["outcome"])
            hired.staged.unlink(missing_ok=True)
            hired.task = None

    def _bury(self, hired: _Hired[T]) -> None:
        """Deal with a worker that has ended by itself: its task is tried again, or has failed."""
        del self._workers[hired.worker]
        hired.worker.end()
        how = f"the process working on it {hired.worker.last_words()}"
        if hired.task is not None:
            task = hired.task
            self._deaths[task] = self._deaths.get(task, 0) + 1
            if self._deaths[task] < self._options.tries:
                self._turns.release(task)
            else:
                self._turns.fail(task, f"{how}, {self._deaths[task]} times")
            hired.staged.unlink(missing_ok=True)
        elif not hired.ready:
            self._failed_starts += 1
            if self._failed_starts >= _START_TRIES:
                raise WeightsError(
                    f"a worker {hired.worker.last_words()} while it loaded the model, "
                    f"{self._failed_starts} times in a row; is there enough memory for --workers "
                    f"{self._options.workers}?"
                )
        if not self._workers and not self._agreed:
            self._start(hired.index)

    def _end_stalled(self) -> None:
        limit = self._options.stall_seconds
        for hired in self._busy():
            if hired.task is not None and time.monotonic() - hired.heard > limit:
                self._end(hired)
                self._turns.fail(
                    hired.task,
                    f"no progress for {limit:g} s after {hired.frames} frames; its process was ended",
                )

    def _end(self, hired: _Hired[T]) -> None:
        """End a worker in the midst of its task."""
        del self._workers[hired.worker]
        hired.worker.end()
        hired.staged.unlink(missing_ok=True)

    def _renew(self, progress: WorkProgress | None) -> None:
        if time.monotonic() - self._renewed >= min(5.0, self._options.lease_seconds / 3):
            self._renewed = time.monotonic()
            frames = {w.task: w.frames for w in self._busy() if w.task is not None}
            lost = self._turns.renew(self._options.lease_seconds, frames)
            for hired in self._busy():
                if hired.task in lost:
                    self._end(hired)
        if progress is not None:
            progress.update(self._turns.counts(), self._working())

    def _working(self) -> dict[str, tuple[int, int | None]]:
        """Frames done and expected of each whole at work, by its path."""
        by_whole: dict[int, tuple[str, int, int | None]] = {}
        for w in self._busy():
            if w.task is not None:
                whole = w.task.whole
                _, frames, expected = by_whole.get(whole, ("", self._turns.done(whole), None))
                by_whole[whole] = w.task.path, frames + w.frames, w.expected or expected
        return {path: (frames, expected) for path, frames, expected in by_whole.values()}


def workforce_at(ray: str | None, workers: int) -> Workforce:
    """The workforce of a Ray cluster at an address; None: of this machine. Raises UsageError as `RayWorkforce` does."""
    if ray is None:
        return LocalWorkforce()
    from carvid.workers.ray_workforce import RayWorkforce

    return RayWorkforce(ray, workers)
