"""A thread that writes what is put, while the caller goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

# On Windows a wait without a limit cannot be interrupted by Ctrl-C.
_WAIT_SECONDS = 0.2


class _End:
    """Wakes a thread that waits for an item."""


class WriteBehind(Generic[T]):
    """Calls `write` on each item in a thread, in their order, with at most `depth` items waiting.

    What `write` raises is raised in the caller, by the next `put` or at the end of the `with`; nothing is written after
    it. Leaving the `with` waits until all is written, also when an error leaves it: what was done before that error is
    kept, and that error is the one raised. Only an interrupt (KeyboardInterrupt) drops what waits, after the item
    in work, whether it comes before or during that wait.
    """

    def __init__(self, write: Callable[[T], None], depth: int) -> None:
        self._write = write
        self._queue: Queue[T | _End] = Queue(maxsize=depth)
        self._ended, self._dropped, self._finished = (threading.Event() for _ in range(3))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="carvid-write-behind", daemon=True)

    def __enter__(self) -> WriteBehind[T]:
        self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Hand an item over; waits where `depth` items wait already."""
        while True:
            self._raise()
            try:
                self._queue.put(item, timeout=_WAIT_SECONDS)
            except Full:
                continue
            return

    def flush(self) -> None:
        """Wait until all that was put is written."""
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks and self._error is None:
                self._queue.all_tasks_done.wait(_WAIT_SECONDS)
        self._raise()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._dropped.set()
        self._ended.set()
        with suppress(Full):  # then it has items, and no need to be woken
            self._queue.put_nowait(_End())
        interrupt = None
        # Not joined: an interrupted join may take a thread for ended that is not.
        while not self._finished.is_set():
            try:
                self._finished.wait(_WAIT_SECONDS)
            except KeyboardInterrupt as pressed:
                # What `write` uses must not be closed under it.
                self._dropped.set()
                interrupt = pressed
        if interrupt is not None:
            raise interrupt
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._write_all()
        finally:
            self._finished.set()

    def _write_all(self) -> None:
        while not self._dropped.is_set():
            try:
                item = self._queue.get(timeout=_WAIT_SECONDS)
            except Empty:
                if self._ended.is_set():
                    return
                continue
            if isinstance(item, _End):
                return
            try:
                self._write(item)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller
                self._error = error
                return
            self._queue.task_done()
