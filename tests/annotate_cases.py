"""`carvid annotate` as a process, for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# On busy cores the threads of several processes mostly wait for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def annotate_command(videos: Path | str, dataset: Path, model: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "carvid", "annotate", str(videos), "-o", str(dataset)]
    return [*command, "--model", str(model), "--device", "cpu", *arguments]


def run_annotate(
    videos: Path | str, dataset: Path, model: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = annotate_command(videos, dataset, model, *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=ENVIRONMENT)


def start_annotate(videos: Path | str, dataset: Path, model: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start it."""
    command = annotate_command(videos, dataset, model, *arguments)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )


def status(dataset: Path) -> str:
    command = [sys.executable, "-m", "carvid", "status", str(dataset)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if int(line.split()[1]) == pid]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")
