"""A first Ctrl-C that lets the current frame finish, unless that takes too long."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# How often the clock checks: often enough for a grace of seconds, rarely enough to cost nothing.
_TICK_SECONDS = 0.05


class Abandoned(BaseException):
    """Work was cut short: it was still running when the grace after SIGINT ended."""


class Interrupt:
    """Whether SIGINT has come."""

    def __init__(self) -> None:
        self.requested = False
        self._grace_is_over = False
        self._abandonable = False

    @contextmanager
    def abandonable(self) -> Iterator[None]:
        """For work that may be cut short: after the grace it raises `Abandoned` when its call into C returns."""
        self._abandonable = True
        try:
            if self._grace_is_over:
                raise Abandoned
            yield
        finally:
            self._abandonable = False

    def end_grace(self) -> None:
        self._grace_is_over = True
        if self._abandonable:
            raise Abandoned


class _Grace:
    """A clock that, once started, sends SIGINT when its time is up.

    Its thread runs from the beginning: a signal handler that started a thread, or took a lock, could be
    interrupted halfway by the next signal.
    """

    def __init__(self, seconds: float) -> None:
        self.rung = False
        self._seconds = seconds
        self._started_at: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="carvid-grace", daemon=True)
        self._thread.start()

    def start(self) -> None:
        self._started_at = time.monotonic()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            if self._started_at is not None and time.monotonic() - self._started_at >= self._seconds:
                self.rung = True
                _thread.interrupt_main()
                return


@contextmanager
def first_interrupt(grace_seconds: float | None = None) -> Iterator[Interrupt]:
    """Note the first SIGINT instead of raising; later ones go to the previous handler.

    grace_seconds: how long `abandonable` work may continue after the first SIGINT; None for no limit.
    Does nothing outside the main thread, which alone may set handlers, nor where SIGINT is ignored, as
    under nohup.
    """
    interrupt = Interrupt()
    previous = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or previous in (None, signal.SIG_IGN):
        yield interrupt
        return
    grace = None if grace_seconds is None else _Grace(grace_seconds)

    def handle(number: int, stack_frame: FrameType | None) -> None:
        if grace is not None and grace.rung:
            grace.rung = False
            interrupt.end_grace()
        elif not interrupt.requested:
            interrupt.requested = True
            if grace is not None:
                grace.start()
        elif callable(previous):
            previous(number, stack_frame)
        else:
            signal.signal(signal.SIGINT, previous)
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        interrupt.requested = True  # from here on a SIGINT goes to the previous handler
        raised: BaseException | None = None
        # Even when a SIGINT raises in here, the handler and the clock are removed.
        while signal.getsignal(signal.SIGINT) is handle:
            try:
                if grace is not None:
                    grace.end()
                # Handles pending signals first, so that the clock's SIGINT never reaches another handler.
                signal.signal(signal.SIGINT, previous)
            except BaseException as error:  # noqa: BLE001 - raised again below
                raised = error
        if raised is not None:
            raise raised
