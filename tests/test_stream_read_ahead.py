"""The read-ahead thread: order, bound, failures, and its end."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from carvid.stream.read_ahead import ReadAhead

ROOT = Path(__file__).resolve().parents[1]


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "carvid-read-ahead"]


def _wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


class Counted:
    """A generator's own record of how far it was driven and whether it was closed."""

    def __init__(self, n: int, fail_at: int | None = None) -> None:
        self.made = 0
        self.closed = False
        self._n, self._fail_at = n, fail_at

    def items(self) -> Generator[int, None, None]:
        try:
            for i in range(self._n):
                if i == self._fail_at:
                    raise ValueError(f"item {i} is bad")
                self.made += 1
                yield i
        finally:
            self.closed = True


def test_items_come_in_order_and_the_thread_ends() -> None:
    source = Counted(100)
    ahead: ReadAhead[int] = ReadAhead(source.items(), 3)
    assert list(ahead) == list(range(100))
    assert list(ahead) == []
    _wait_until(lambda: not _threads())
    assert source.closed
    ahead.close()


def test_no_more_than_depth_items_are_ready() -> None:
    source = Counted(1000)
    ahead: ReadAhead[int] = ReadAhead(source.items(), 3)
    for i in range(5):
        assert next(ahead) == i
        # 3 in the queue and one in the thread's hands.
        _wait_until(lambda i=i: source.made == i + 1 + 4)  # type: ignore[misc]
        time.sleep(0.02)
        assert source.made == i + 1 + 4
    ahead.close()


def test_a_failure_is_raised_in_the_caller_after_the_items_before_it() -> None:
    ahead: ReadAhead[int] = ReadAhead(Counted(9, fail_at=4).items(), 2)
    got: list[int] = []
    with pytest.raises(ValueError, match="item 4 is bad"):
        got.extend(ahead)
    assert got == [0, 1, 2, 3]
    assert list(ahead) == []
    _wait_until(lambda: not _threads())


@pytest.mark.parametrize("taken", [0, 1, 5])
@pytest.mark.parametrize("depth", [1, 4])
def test_closing_early_stops_and_joins_the_thread(taken: int, depth: int) -> None:
    source = Counted(10_000)
    ahead: ReadAhead[int] = ReadAhead(source.items(), depth)
    for _ in range(taken):
        next(ahead)
    ahead.close()
    assert not _threads()
    assert source.closed
    ahead.close()
    assert list(ahead) == []


def test_a_dropped_reader_ends_its_thread() -> None:
    source = Counted(10_000)
    ahead: ReadAhead[int] = ReadAhead(source.items(), 2)
    next(ahead)
    del ahead
    gc.collect()
    _wait_until(lambda: not _threads())
    assert source.closed


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_waiting_for_an_item_can_be_interrupted() -> None:
    program = (
        "import time\n"
        "from carvid.stream.read_ahead import ReadAhead\n"
        "def never():\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
        "    yield\n"
        "print('waiting', flush=True)\n"
        "try:\n"
        "    next(ReadAhead(never(), 1))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert output == "interrupted\n"
        assert process.returncode == 0
