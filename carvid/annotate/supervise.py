"""Starts the workers of one process, gives them videos, watches them and replaces those that die."""

from __future__ import annotations

import queue
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from carvid import errors
from carvid.annotate.child import Inbox, Message
from carvid.annotate.label import StreamOptions
from carvid.annotate.leases import Presence
from carvid.annotate.worker import Setup
from carvid.annotate.workforce import Worker, Workforce
from carvid.errors import OutputError, UsageError, WeightsError
from carvid.interrupt import Interrupt
from carvid.recipe import Recipe
from carvid.recipe.record import differences, fingerprint
from carvid.store.agreement import agree, settings_of
from carvid.store.ledger import Ledger
from carvid.store.schema import WAITING
from carvid.store.task import Outcome, Task
from carvid.store.turns import Turns

_TICK_SECONDS = 0.2
_START_TRIES = 3


@dataclass(frozen=True)
class WorkOptions:
    """How the work is done; nothing here changes the labels.

    workers: how many there are; each loads the model.
    stall_seconds: a worker that reports nothing for this long while it labels is ended; its video counts as failed.
    lease_seconds: how long a lease lasts unless it is renewed.
    tries: how often a video (or a piece of one) is begun in one run, if its worker dies each time, before it counts as
        failed.
    grace_seconds: how long videos that are nearly done may take to finish after Ctrl-C.
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
        """Called now and then. counts: videos by state. working: frames labelled and expected, by a video's path."""
        ...

    def note(self, line: str) -> None:
        """Before the work, what of the request has no effect."""
        ...


@dataclass
class _Hired:
    worker: Worker
    index: int
    ready: bool = False
    task: Task | None = None
    staged: Path = Path()
    frames: int = 0
    expected: int | None = None
    heard: float = field(default_factory=time.monotonic)


class Supervisor:
    """Labels the waiting videos of a dataset; a context manager that ends the workers and releases their videos."""

    def __init__(
        self,
        ledger: Ledger,
        turns: Turns,
        presence: Presence,
        recipe: Recipe,
        stream: StreamOptions,
        options: WorkOptions,
        workforce: Workforce,
        *,
        replace: bool = False,
    ) -> None:
        """turns: what the tasks are. workforce: where the workers run.
        replace: whether labels made with other settings may be discarded.
        """
        self._ledger, self._turns, self._presence = ledger, turns, presence
        self._recipe, self._stream, self._options = recipe, stream, options
        self._replace, self._workforce = replace, workforce
        self._inbox: Inbox = queue.SimpleQueue()
        self._workers: dict[Worker, _Hired] = {}
        self._deaths: dict[Task, int] = {}
        self._failed_starts = 0
        self._agreed = False
        self._renewed = self._looked = time.monotonic()

    def run(self, interrupt: Interrupt, progress: WorkProgress | None = None) -> bool:
        """Label until no video is waiting or being labelled by anybody; False if an interrupt came first.

        The first worker starts alone, so that what is wrong with the model or the settings is reported once, and
        weights are fetched once.
        Raises UsageError if the dataset has other settings, WeightsError, OutputError.
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
                if not self._busy() and self._is_complete():
                    return True
            self._take_messages()
            self._end_stalled()
            self._renew(progress)

    def __enter__(self) -> Supervisor:
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

    def _busy(self) -> list[_Hired]:
        return [hired for hired in self._workers.values() if hired.task is not None]

    def _start(self, index: int) -> None:
        threads = max(1, self._workforce.cores // self._options.workers)
        setup = Setup(self._recipe, self._stream, index, threads)
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
                name = f"{task.video_id}" if task.piece is None else f"{task.video_id}-{task.piece}"
                hired.staged = self._presence.folder / f"{name}.sqlite"
                hired.worker.label(task, hired.staged)
        free = sorted(set(range(self._options.workers)) - {hired.index for hired in self._workers.values()})
        if free:
            starting = sum(not hired.ready for hired in self._workers.values())
            wanted = self._turns.waiting(len(free) + starting) - starting
            for index in free[: max(0, wanted)]:
                self._start(index)

    def _is_complete(self) -> bool:
        """Whether nothing is waiting or being labelled elsewhere; takes over what ended processes held."""
        if self._ledger.counts()[WAITING]:
            return False
        if time.monotonic() - self._looked >= 1.0:
            self._looked = time.monotonic()
            if self._ledger.recover(self._presence.dead(self._ledger.lease_owners())):
                return False
        return self._ledger.is_settled()

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

    def _take(self, hired: _Hired, message: Message | None) -> None:
        hired.heard = time.monotonic()
        if message is None:
            self._bury(hired)
        elif message["kind"] == "ready":
            self._agree(message["description"])
            hired.ready, self._failed_starts = True, 0
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
                self._turns.commit(hired.task, hired.staged, Outcome(**message["outcome"]))
            hired.staged.unlink(missing_ok=True)
            hired.task = None

    def _agree(self, description: Mapping[str, Any]) -> None:
        replace = self._replace and not self._agreed
        before = settings_of(self._ledger)
        if before is not None and not differences(before, description):
            self._agreed = True
            return
        before = agree(self._ledger, description, fingerprint(description), replace=replace)
        if before is not None and not replace:
            raise UsageError(
                "this dataset was labelled with other settings:\n  "
                + "\n  ".join(differences(before, description))
                + "\nchoose another folder, or give --overwrite to discard all its labels"
            )
        self._agreed = True

    def _bury(self, hired: _Hired) -> None:
        """Deal with a worker that has ended by itself: its video is tried again, or has failed."""
        del self._workers[hired.worker]
        hired.worker.end()
        how = f"the process labelling it {hired.worker.last_words()}"
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

    def _end(self, hired: _Hired) -> None:
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
            progress.update(self._ledger.counts(), self._working())

    def _working(self) -> dict[str, tuple[int, int | None]]:
        """Frames labelled and expected of each video in work, by its path."""
        by_video: dict[int, tuple[str, int, int | None]] = {}
        for w in self._busy():
            if w.task is not None:
                video_id = w.task.video_id
                _, frames, expected = by_video.get(video_id, ("", self._turns.labelled(video_id), None))
                by_video[video_id] = w.task.path, frames + w.frames, w.expected or expected
        return {path: (frames, expected) for path, frames, expected in by_video.values()}
