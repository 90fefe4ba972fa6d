"""Weights that have to be fetched, on stderr: what, how big, where to, how long, and how to go on without a network."""

from __future__ import annotations

import shlex
import sys
import time

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from carvid.cli.progress import PLAIN_EVERY_SECONDS
from carvid.weights.downloads import Download

# Bytes a second at 100 Mbit/s, for a time before anything is measured.
_SUPPOSED_RATE = 100e6 / 8
# After so long and so much, the rate is taken for what it will be.
_MEASURED_SECONDS, _MEASURED_BYTES = 2.0, 4e6


class DownloadProgress:
    """Tells of downloads; see `carvid.weights.downloads.Watch`. A bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._size: int | None = None
        self._started = self._spoken = 0.0
        self._is_told = False

    def begin(self, download: Download) -> None:
        """Say what is about to be fetched."""
        for line in announcement(download):
            typer.echo(f"carvid: {line}", err=True)
        self._size, self._is_told, self._done = download.size_bytes, False, {}
        self._started = self._spoken = time.monotonic()

    def advance(self, repository: str, done: int, total: int) -> None:
        """Show how far it has got."""
        self._done[repository] = done
        if sys.stderr.isatty():
            self._draw(repository, done, total)
            return
        now = time.monotonic()
        fetched = sum(self._done.values())
        is_measured = now - self._started >= _MEASURED_SECONDS and fetched >= _MEASURED_BYTES
        if is_measured and (not self._is_told or now - self._spoken >= PLAIN_EVERY_SECONDS):
            self._is_told, self._spoken = True, now
            rate = fetched / (now - self._started)
            left = "" if self._size is None else f", about {_time((self._size - fetched) / rate)} left"
            typer.echo(f"carvid: {in_bytes(fetched)} fetched, {in_bytes(rate)}/s{left}", err=True)

    def end(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._tasks = None, {}

    def _draw(self, repository: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        if repository not in self._tasks:
            self._tasks[repository] = self._bar.add_task(repository, total=total)
        self._bar.update(self._tasks[repository], completed=done, total=total)


def announcement(download: Download) -> list[str]:
    """The lines that tell of a download before it starts."""
    size = download.size_bytes
    whole = "of unknown size" if size is None else in_bytes(size)
    lines = [f"weights that are not on this machine yet will be fetched, {whole}:"]
    for one in download.wanted:
        each = "size unknown" if one.size_bytes is None else in_bytes(one.size_bytes)
        lines.append(f"  {one.repository}: {', '.join(one.files)} ({each})")
    lines.append(f"  into {download.folder} (HF_HOME names another place)")
    if size is not None:
        lines.append(
            f"  how long that takes depends on the network: at 100 Mbit/s, about {_time(size / _SUPPOSED_RATE)}"
        )
    pulls = "; ".join(f"carvid models pull {shlex.quote(one.repository)}" for one in download.wanted)
    lines.append(
        f"  without a network here: fetch them on another machine ({pulls}), copy its cache folder and point HF_HOME "
        f"at the copy; {download.instead}"
    )
    return lines


def in_bytes(size: float) -> str:
    """A number of bytes in words, in powers of ten: `599 MB`, `2.3 GB`."""
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_each:
            number = size / bytes_each
            return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"
    return f"{size:.0f} B"


def _time(seconds: float) -> str:
    # Imported here: it brings OpenCV, which only what runs a video needs.
    from carvid.cli.forecast import in_words

    return in_words(max(seconds, 1.0))
