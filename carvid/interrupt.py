"""Ctrl-C that lets the frame in work be finished, for as long as that does not take too long."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Abandoned(BaseException):
    """The work was cut short: it was still going on when its grace after SIGINT was over."""


class Interrupt:
    """Whether SIGINT has come."""

    def __init__(self) -> None:
        self.requested = False
        self._grace_is_over = False
        self._abandonable = False

    @contextmanager
    def abandonable(self) -> Iterator[None]:
        """Work that raises `Abandoned`, wherever it is, once the grace is over."""
        if self._grace_is_over:
            raise Abandoned
        self._abandonable = True
        try:
            yield
        finally:
            self._abandonable = False

    def end_grace(self) -> None:
        self._grace_is_over = True
        if self._abandonable:
            raise Abandoned


@contextmanager
def first_interrupt(grace_seconds: float | None = None) -> Iterator[Interrupt]:
    """Note the first SIGINT instead of raising; later ones go to the handler there was before.

    grace_seconds: how long after it work that is `abandonable` may still go on; None for as long as it takes.
    Does nothing outside the main thread, which alone may set handlers, and where SIGINT is ignored, as it is
    for a process started with nohup.
    """
    interrupt = Interrupt()
    previous = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or previous in (None, signal.SIG_IGN):
        yield interrupt
        return
    grace: threading.Timer | None = None
    rung = threading.Event()  # by the timer, whose SIGINT is not the user's

    def ring() -> None:
        rung.set()
        _thread.interrupt_main()

    def handle(number: int, stack_frame: FrameType | None) -> None:
        nonlocal grace
        if rung.is_set():
            rung.clear()
            interrupt.end_grace()
        elif interrupt.requested:
            if callable(previous):
                previous(number, stack_frame)
            else:
                signal.signal(signal.SIGINT, previous)
                signal.raise_signal(signal.SIGINT)
        else:
            interrupt.requested = True
            if grace_seconds is not None:
                grace = threading.Timer(grace_seconds, ring)
                grace.daemon = True
                grace.start()

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupt
    finally:
        if grace is not None:
            # Joined, so that what it rings still reaches `handle`: setting a handler first runs what is pending.
            grace.cancel()
            grace.join()
        signal.signal(signal.SIGINT, previous)
