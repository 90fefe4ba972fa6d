"""Where workers run: as processes on this machine, or elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

from carvid.workers.child import Child, Inbox, usable_cores
from carvid.workers.job import WorkTask
from carvid.workers.worker import Setup


class Worker(Protocol):
    """A worker that was started; its messages (`carvid.workers.worker`) come through the queue it was started with.

    The last is None: it has ended.
    """

    def work(self, task: WorkTask, staged: Path) -> None:
        """Have it do a task; what comes of it goes into the file `staged`, on this machine."""
        ...

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        ...

    def end(self) -> None:
        """End it at once and wait until it is gone, but not for long."""
        ...

    def last_words(self) -> str:
        """How it ended, as words that follow "the process working on it"."""
        ...


class Workforce(Protocol):
    """Starts workers; a context manager that is left only after they have ended.

    cores: how many processors all its workers together may use.
    """

    @property
    def cores(self) -> int: ...
    def start(self, setup: Setup, inbox: Inbox) -> Worker: ...
    def __enter__(self) -> Workforce: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LocalWorkforce:
    """Processes on this machine."""

    @property
    def cores(self) -> int:
        return usable_cores()

    def start(self, setup: Setup, inbox: Inbox) -> Worker:
        return Child(setup, inbox)

    def __enter__(self) -> LocalWorkforce:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
