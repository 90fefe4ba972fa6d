"""Where workers run: as processes on this machine, or elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

from carvid.annotate.child import Child, Inbox, usable_cores
from carvid.annotate.worker import Setup
from carvid.store.task import Task


class Worker(Protocol):
    """A worker that was started; its messages (`carvid.annotate.worker`) come through the queue it was started with.

    The last is None: it has ended.
    """

    def label(self, task: Task, staged: Path) -> None:
        """Have it label a video; the rows come into `staged`, on this machine."""
        ...

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        ...

    def end(self) -> None:
        """End it at once and wait until it is gone, but not for long."""
        ...

    def last_words(self) -> str:
        """How it ended, as words that follow "the process labelling it"."""
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
