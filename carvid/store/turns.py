"""Whose turn it is: what a process that labels a dataset asks of it, whole videos or pieces of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from carvid.store.task import Outcome, Task


class Turns(Protocol):
    """Gives out tasks and takes what becomes of them. Each method takes effect as a whole or not at all.

    Raises OutputError where the database cannot be written, InputError where it is damaged.
    """

    def claim(self, lease_seconds: float) -> Task | None:
        """Take the lease of the next task; None if there is none now."""
        ...

    def waiting(self, most: int) -> int:
        """How many tasks could be claimed now; at most so many."""
        ...

    def renew(self, lease_seconds: float, frames: Mapping[Task, int]) -> set[Task]:
        """Extend the leases this process holds; returns the tasks whose lease is lost. frames: labelled so far."""
        ...

    def commit(self, task: Task, staged: Path, outcome: Outcome) -> bool:
        """Merge a worker's closed file: the task is done. False, with no change, if the lease is lost."""
        ...

    def fail(self, task: Task, error: str) -> bool:
        """Record why it cannot be labelled; False if the lease is lost."""
        ...

    def release(self, task: Task) -> bool:
        """Let it wait for another worker; False if the lease is lost."""
        ...

    def labelled(self, video_id: int) -> int:
        """How many frames of a video the dataset holds already, while other tasks of it are being labelled."""
        ...
