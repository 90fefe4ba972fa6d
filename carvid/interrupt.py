"""Ctrl-C that lets the frame in work be finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether SIGINT has come."""

    requested: bool = False


@contextmanager
def first_interrupt() -> Iterator[Interrupt]:
    """Note the first SIGINT instead of raising, and put the old handler back for the second.

    Does nothing outside the main thread, which alone may set handlers, and where SIGINT is ignored, as it is
    for a process started with nohup.
    """
    interrupt = Interrupt()
    previous = signal.getsignal(signal.SIGINT)
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or previous in (None, signal.SIG_IGN):
        yield interrupt
        return

    def note(number: int, stack_frame: FrameType | None) -> None:
        interrupt.requested = True
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, previous)
