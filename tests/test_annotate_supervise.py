"""The supervisor of workers, with workers that only say what they would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from carvid.annotate.label import StreamOptions
from carvid.annotate.leases import Presence
from carvid.annotate.shared_turns import DatasetTurns
from carvid.interrupt import Interrupt
from carvid.recipe import Recipe
from carvid.store.agreement import register
from carvid.store.ledger import Ledger
from carvid.store.pieces import Pieces
from carvid.store.status import read_status
from carvid.store.task import Task, VideoRequest
from carvid.workers.child import Inbox
from carvid.workers.supervise import Supervisor, WorkOptions
from carvid.workers.worker import Setup


class Told:
    """A worker that tells of 3 frames in every piece, and of the first also that it has failed, once told to."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.task: Task | None = None
        self.is_ended = False
        inbox.put((self, {"kind": "ready", "description": {}}))

    def work(self, task: Task, staged: Path) -> None:
        self.task = task
        self.inbox.put((self, {"kind": "progress", "frames": 3, "expected": 100}))

    def fail(self) -> None:
        self.inbox.put((self, {"kind": "failed", "message": "no picture"}))

    def kill(self) -> None:
        self.is_ended = True

    def end(self) -> None:
        self.is_ended = True

    def last_words(self) -> str:
        return ""


class Tellers:
    cores = 1

    def __init__(self) -> None:
        self.workers: list[Told] = []

    def start(self, setup: Setup, inbox: Inbox) -> Told:
        self.workers.append(Told(inbox))
        return self.workers[-1]

    def __enter__(self) -> Tellers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class FailsWhenBothWork:
    """Has the worker of the first piece fail once two workers have told of frames."""

    def __init__(self, workforce: Tellers) -> None:
        self.workforce = workforce
        self.seen: list[Mapping[str, tuple[int, int | None]]] = []

    def update(self, counts: Mapping[str, int], working: Mapping[str, tuple[int, int | None]]) -> None:
        if working != (self.seen or [None])[-1]:
            self.seen.append(working)
        if working == {"a.mp4": (6, 100)}:
            for worker in self.workforce.workers:
                if worker.task is not None and worker.task.piece == 0:
                    worker.fail()

    def note(self, line: str) -> None:
        raise AssertionError(line)


def test_workers_share_a_video_and_give_it_up_when_it_has_failed(tmp_path: Path) -> None:
    stream, options = StreamOptions(piece=10), WorkOptions(workers=2, lease_seconds=0.3)
    with Presence(tmp_path) as presence, Ledger(tmp_path, presence.owner) as ledger, Tellers() as workforce:
        register(ledger, [VideoRequest("a.mp4", "/in/a.mp4", ("a dog",))])
        progress = FailsWhenBothWork(workforce)
        turns = DatasetTurns(ledger, Pieces(ledger, 10, 1), presence)
        job = "carvid.annotate.label:Labelling", asdict(stream)
        with Supervisor(turns, Recipe(), job, options, workforce, presence.folder) as supervisor:
            # It would wait for the worker of the second piece for ever.
            assert supervisor.run(Interrupt(), progress)
    tasks = [worker.task for worker in workforce.workers if worker.task is not None]
    assert [task.piece for task in tasks] == [0, 1]
    assert progress.seen[-1] == {}
    assert read_status(tmp_path).failed == (("a.mp4", "no picture"),)
