"""Seconds per stage of a frame, each second counted once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Stopwatch:
    """Adds up wall-clock seconds per stage; time in a nested stage counts for the nested stage alone.

    device: synchronised at both ends of every stage, so that its work counts for the right one. With None, work
        queued on an accelerator counts for the stage that first waits for its result.
    seconds: per stage, so far. items: per stage, the sum of the `items` passed to `stage`.
    For one thread.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self.items: dict[str, int] = {}
        self._device = device
        self._inside = 0.0

    @contextmanager
    def stage(self, name: str, items: int = 0) -> Iterator[None]:
        """Time the body as stage `name`; `items` is how many things it works on."""
        before, self._inside = self._inside, 0.0
        started = self._now()
        try:
            yield
        finally:
            spent = self._now() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inside
            self.items[name] = self.items.get(name, 0) + items
            self._inside = before + spent

    def _now(self) -> float:
        if self._device is not None:
            synchronise(self._device)
        return time.perf_counter()


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all queued work; on a CPU there is none."""
    if device.type == "cpu":
        return
    # Whoever has a device has loaded it; the desk, which has none, starts sooner without.
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
