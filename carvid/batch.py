"""How many frames go through the models together: as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from carvid.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

MOST_FRAMES = 32
# Of the memory that is free after the first frame; the rest is for the CRF and for what grows.
SHARE_OF_FREE = 0.6


class Batch:
    """Runs work on frames in batches whose size is asked for, or found.

    frames: how many to give at a time. Asked for None, it is 1 on a CPU, where more gain nothing, and for the first
    frame, whose cost on a CUDA device then tells how many fit (for which that device's peak statistics are begun anew).
    When memory runs out, a batch is halved and stays so.
    """

    def __init__(self, asked: int | None, device: torch.device) -> None:
        if asked is not None and asked < 1:
            raise UsageError(f"batch is {asked}; expected a whole number from 1")
        self.asked = asked
        self.frames = asked or 1
        self._device = device
        self._unknown = asked is None and device.type == "cuda"

    def run(self, items: Sequence[T], work: Callable[[Sequence[T]], R]) -> Iterator[R]:
        """What `work` makes of the items, in their order, some at a time.

        Raises torch.OutOfMemoryError where not even one fits.
        """
        done = 0
        while done < len(items):
            some = items[done : done + self.frames]
            out_of_memory = False
            try:
                result = self._measured(some, work) if self._unknown else work(some)
            except torch.OutOfMemoryError:
                if len(some) == 1:
                    raise
                out_of_memory = True
            if out_of_memory:
                # Here, where the error no longer holds what the failed work had allocated.
                self.frames = len(some) // 2
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            done += len(some)
            yield result
            del result

    def _measured(self, some: Sequence[T], work: Callable[[Sequence[T]], R]) -> R:
        device = self._device
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = work(some)
        cost = (torch.cuda.max_memory_allocated(device) - before) // len(some)
        free = torch.cuda.mem_get_info(device)[0]
        self.frames, self._unknown = frames_that_fit(free, cost), False
        return result


def frames_that_fit(free_bytes: int, frame_bytes: int) -> int:
    """How many frames of that cost to run together, at least one."""
    return max(1, min(MOST_FRAMES, int(SHARE_OF_FREE * free_bytes) // max(1, frame_bytes)))
