"""A thread that writes what is put: in order, bounded, its errors raised in the caller."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from carvid.write_behind import WriteBehind


class Held:
    """Something to write to that waits, in the midst of an item, until it is let go."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()
        self.written: list[int] = []

    def write(self, item: int) -> None:
        self.started.set()
        assert self.go_on.wait(10)
        self.written.append(item)


def test_all_is_written_in_order_when_the_with_is_left() -> None:
    written: list[int] = []
    with WriteBehind(written.append, depth=2) as writer:
        for i in range(50):
            writer.put(i)
    assert written == list(range(50))


def test_the_caller_goes_on_while_an_item_is_written() -> None:
    held = Held()
    with WriteBehind(held.write, depth=2) as writer:
        writer.put(1)
        assert held.started.wait(10)
        writer.put(2)
        assert held.written == []
        held.go_on.set()
        writer.flush()
        assert held.written == [1, 2]


def test_no_more_than_depth_items_wait() -> None:
    go_on = threading.Event()
    put: list[int] = []
    with WriteBehind(lambda item: go_on.wait(10), depth=2) as writer:

        def fill() -> None:
            for i in range(10):
                writer.put(i)
                put.append(i)

        filler = threading.Thread(target=fill)
        filler.start()
        time.sleep(0.5)
        assert len(put) == 3  # one in work, two waiting
        go_on.set()
        filler.join(10)
    assert len(put) == 10


@pytest.mark.parametrize("last", [False, True])
def test_an_error_is_raised_in_the_caller_and_nothing_is_written_after_it(last: bool) -> None:
    written: list[int] = []

    def write(item: int) -> None:
        if item == 3:
            raise OSError("disk full")
        written.append(item)

    def write_all() -> None:
        with WriteBehind(write, depth=2) as writer:
            for i in range(4 if last else 100):
                writer.put(i)
            if last:
                writer.flush()

    with pytest.raises(OSError, match="disk full"):
        write_all()
    assert written == [0, 1, 2]


def test_what_was_put_before_another_error_is_written() -> None:
    written: list[int] = []

    def write_some() -> None:
        with WriteBehind(written.append, depth=5) as writer:
            for i in range(5):
                writer.put(i)
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        write_some()
    assert written == [0, 1, 2, 3, 4]


def test_an_interrupt_while_the_rest_is_written_waits_for_the_item_in_work() -> None:
    events: list[object] = []
    started = threading.Event()

    def write(item: int) -> None:
        started.set()
        time.sleep(0.6)
        events.append(item)

    def leave() -> None:
        with WriteBehind(write, depth=5) as writer:
            for i in range(4):
                writer.put(i)
            assert started.wait(10)
            threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        leave()
    events.append("closed")
    time.sleep(0.8)
    assert events == [0, "closed"]


def test_an_interrupt_drops_what_waits() -> None:
    held = Held()
    threading.Timer(0.3, held.go_on.set).start()

    def write_some() -> None:
        with WriteBehind(held.write, depth=5) as writer:
            for i in range(5):
                writer.put(i)
            assert held.started.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_some()
    assert held.written == [0]
