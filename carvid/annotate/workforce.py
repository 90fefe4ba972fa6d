"""Where workers run: in processes on this machine, or elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol

from carvid.annotate.child import Child, Inbox, usable_cores
from carvid.annotate.worker import Setup
from carvid.store.task import Task


class Worker(Protocol):
    """A worker under way; its messages (`carvid.annotate.worker`) come through the queue it was started with.

    After the last message comes None: it has ended.
    """

    def label(self, task: Task, staged: Path) -> None:
        """Give it a video to label into `staged`, on this machine."""
        ...

    def kill(self) -> None:
        """End it at once, whatever it does."""
        ...

    def end(self) -> None:
        """End it at once and wait until it is gone; not for long."""
        ...

    def last_words(self) -> str:
        """How it ended, to follow "the process labelling it"; for one that has ended."""
        ...


class Workforce(Protocol):
    """A context manager; what it started is ended before it is left.

    cores: how many processors all its workers may use together.
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
