"""Writing on a thread of its own, while the caller continues."""

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
    """Put on the queue to wake a thread that waits for an item."""


class WriteBehind(Generic[T]):
    """Calls `write` on each item, in order, on a thread, with at most `depth` items waiting.

    An error from `write` is raised in the caller, by the next `put` or `flush` or at the end of the `with`; nothing is
    written after it. Leaving the `with` waits until everything is written, even when an error leaves it; that error is
    then the one raised. Only KeyboardInterrupt, before or during this wait, drops the waiting items, once the current
    one is written.
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
        """Hand over an item; blocks while `depth` items are waiting. Raises what `write` raised."""
        while True:
            self._raise()
            try:
                self._queue.put(item, timeout=_WAIT_SECONDS)
            except Full:
                continue
            return

    def flush(self) -> None:
        """Wait until every item is written. Raises what `write` raised."""
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
        with suppress(Full):  # a full queue has items, so the thread need not be woken
            self._queue.put_nowait(_End())
        interrupt = None
        # Not joined: after an interrupted join a running thread may count as ended.
        while not self._finished.is_set():
            try:
                self._finished.wait(_WAIT_SECONDS)
            except KeyboardInterrupt as pressed:
                # Keep waiting: what `write` uses must not be closed while it runs.
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
