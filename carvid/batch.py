"""How many frames go through the models together: as many as fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from carvid.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

MOST_FRAMES = 32
# Share of the memory still free after the first frame; the rest is for the CRF and for whatever grows.
SHARE_OF_FREE = 0.6


class Batch:
    """Runs work on frames in batches of a given size, or of the largest size that fits.

    asked: frames per batch, at least 1; None to choose. On a CPU the choice is 1, as larger batches gain nothing there.
    On a CUDA device the first frame runs alone, and its memory decides how many fit (measuring it resets the device's
    peak memory statistics).
    frames: the current batch size. When memory runs out it is halved, for good.
    Raises UsageError where `asked` is below 1.
    """

    def __init__(self, asked: int | None, device: torch.device) -> None:
        if asked is not None and asked < 1:
            raise UsageError(f"batch is {asked}; expected a whole number from 1")
        self.asked = asked
        self.frames = asked or 1
        self._device = device
        self._unknown = asked is None and device.type == "cuda"

    def run(self, items: Sequence[T], work: Callable[[Sequence[T]], R]) -> Iterator[R]:
        """Yield what `work` returns for each batch of the items, in order.

        Raises torch.OutOfMemoryError when not even one item fits.
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
                # Outside the handler, where the error no longer keeps the failed batch's tensors alive.
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
    """How many frames of `frame_bytes` each to run together when `free_bytes` are free: 1 to MOST_FRAMES."""
    return max(1, min(MOST_FRAMES, int(SHARE_OF_FREE * free_bytes) // max(1, frame_bytes)))
