"""What a task and a job are: the supervisor gives out tasks, and each worker does them by its job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from carvid.engines import EngineModel


class WorkTask(Protocol):
    """Something for one worker to do. Hashable.

    key: its name, which may be a file's. path: what people call it. whole: the number of what it is a part of; the
    parts of one whole have the same `path`.
    """

    @property
    def key(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def whole(self) -> int: ...
    def to_json(self) -> Mapping[str, Any]:
        """As plain data, for `Job.work`."""
        ...


# Takes how many frames of the task are done, and how many are expected of what it is a part of, where that is known.
Tell = Callable[[int, int | None], None]


class Job(Protocol):
    """What a worker does with tasks of one kind. Each worker makes its own, by `Setup.job`."""

    def describe(self, model: EngineModel) -> dict[str, Any]:
        """Everything that is needed to come to the same again, as plain data."""
        ...

    def work(
        self, task: Mapping[str, Any], staged: Path, model: EngineModel, tell: Tell
    ) -> Mapping[str, Any]:
        """Do a task, given as plain data, into the file `staged`; returns what came of it, as plain data.

        If anything is raised, there is no such file. Raises OutputError where it cannot be written, and another
        CarvidError where the task cannot be done.
        """
        ...


T = TypeVar("T", bound=WorkTask)


class Turns(Protocol[T]):
    """Gives out tasks and takes what becomes of them. Each method takes effect as a whole or not at all.

    Raises OutputError where the results cannot be written, InputError where what is there is damaged.
    """

    def agree(self, description: Mapping[str, Any]) -> None:
        """Told what the model and the job are, before any task is given out. Raises UsageError or OutputError where
        there are results of others."""
        ...

    def claim(self, lease_seconds: float) -> T | None:
        """Take the lease of the next task; None if there is none now."""
        ...

    def waiting(self, most: int) -> int:
        """How many tasks could be claimed now; at most so many."""
        ...

    def renew(self, lease_seconds: float, frames: Mapping[T, int]) -> set[T]:
        """Extend the leases this process holds; returns the tasks whose lease is lost. frames: done so far."""
        ...

    def commit(self, task: T, staged: Path, outcome: Mapping[str, Any]) -> bool:
        """Take over a worker's file: the task is done. False, with no change, if the lease is lost."""
        ...

    def fail(self, task: T, error: str) -> bool:
        """Record why it cannot be done; False if the lease is lost."""
        ...

    def release(self, task: T) -> bool:
        """Let it wait for another worker; False if the lease is lost."""
        ...

    def done(self, whole: int) -> int:
        """How many frames of a whole are done, while other parts of it are being worked on."""
        ...

    def counts(self) -> Mapping[str, int]:
        """How many wholes there are in each of `carvid.workers.states.STATES`."""
        ...

    def is_complete(self) -> bool:
        """Whether nothing waits and nothing is being worked on, by anybody."""
        ...
