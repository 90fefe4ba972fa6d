"""A thread that keeps a bounded number of items ready."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Generator
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

# On Windows a wait without a limit cannot be interrupted by Ctrl-C.
_WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class ReadAhead(Generic[T]):
    """Runs a generator in a thread, at most `depth` items ahead of the consumer.

    Items come in the generator's order. What the generator raises is raised in the consumer, after the items
    before it. The generator is closed in the thread, whether it ends, fails or is stopped early. The thread
    holds no reference to this object, so an object that is dropped without `close` ends its thread as well.
    """

    def __init__(self, items: Generator[T, None, object], depth: int) -> None:
        self._queue: Queue[T | _End] = Queue(maxsize=depth)
        self._stop = threading.Event()
        self._ended = False
        self._thread = threading.Thread(
            target=_fill, args=(items, self._queue, self._stop), name="carvid-read-ahead", daemon=True
        )
        weakref.finalize(self, _release, self._queue, self._stop)
        self._thread.start()

    def __iter__(self) -> ReadAhead[T]:
        return self

    def __next__(self) -> T:
        while not self._ended:
            try:
                item = self._queue.get(timeout=_WAIT_SECONDS)
            except Empty:
                continue
            if not isinstance(item, _End):
                return item
            self._ended = True
            if item.error is not None:
                raise item.error
        raise StopIteration

    def close(self) -> None:
        """Stop the generator after the item it is making, and wait for its thread."""
        self._ended = True
        _release(self._queue, self._stop)
        self._thread.join()


def _fill(items: Generator[T, None, object], queue: Queue[T | _End], stop: threading.Event) -> None:
    error: BaseException | None = None
    try:
        with contextlib.closing(items):
            for item in items:
                queue.put(item)
                if stop.is_set():
                    return
    except BaseException as raised:  # noqa: BLE001 - it is raised again in the consumer
        error = raised
    if not stop.is_set():
        queue.put(_End(error))


def _release(queue: Queue[T | _End], stop: threading.Event) -> None:
    # Once stop is set the thread puts at most one more item, and an emptied queue has room for it.
    stop.set()
    with contextlib.suppress(Empty):
        while True:
            queue.get_nowait()
