"""A worker process, as seen by its parent."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from carvid.workers.job import WorkTask
from carvid.workers.worker import Setup

Message = dict[str, Any]
# Who sent it, and the message; None once the sender has ended.
Inbox = queue.SimpleQueue[tuple[Any, Message | None]]

_END_SECONDS = 1.0

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from carvid.workers.worker import main; main()"
)


class Child:
    """A process that runs `carvid.workers.worker`; its messages come through the queue it is given.

    The last is None: the process has ended.
    """

    def __init__(self, setup: Setup, inbox: Inbox) -> None:
        self._inbox = inbox
        self._errors: deque[str] = deque(maxlen=20)
        # In a session of its own, so that Ctrl-C at the terminal reaches only the parent, which decides what becomes
        # of the tasks at work.
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", _START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._threads = [
            threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read_messages, args=(self._process.stdout,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._send(setup.to_json())

    @property
    def pid(self) -> int:
        return self._process.pid

    def work(self, task: WorkTask, staged: Path) -> None:
        """Have it do a task into `staged`."""
        self._send({"task": task.to_json(), "staged": str(staged)})

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()

    def end(self) -> None:
        """End it at once and wait until it is gone, but not for long: one that hangs in a system call may stay."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
            for thread in self._threads:
                thread.join(_END_SECONDS)
        # The pipe is broken if there is a message that it did not live to read.
        with suppress(BrokenPipeError):
            self._stdin.close()

    def last_words(self) -> str:
        """How it ended, with the last line it wrote to standard error. Waits for its end."""
        code = self._process.wait()
        how = f"ended with exit code {code}"
        if code < 0:
            try:
                how = f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was killed by signal {-code}"
        # faulthandler gives the reason first and the Python stack after it.
        fatal = [line for line in self._errors if line.startswith("Fatal Python error")]
        said = fatal or [line for line in self._errors if line.strip()]
        return f"{how} ({said[-1].strip()})" if said else how

    def _send(self, message: Message) -> None:
        # If it has ended, its None is about to arrive.
        with suppress(BrokenPipeError):
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()

    def _read_messages(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                if line.endswith(b"\n"):
                    self._inbox.put((self, json.loads(line)))
        self._threads[0].join()
        self._inbox.put((self, None))

    def _read_errors(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in stderr:
                self._errors.append(line.decode(errors="replace"))


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
