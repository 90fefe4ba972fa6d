"""The progress of workers, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from carvid.cli.progress import PLAIN_EVERY_SECONDS


class DatasetProgress:
    """Counts videos or samples, and the frames of those at work; see `carvid.workers.supervise.WorkProgress`.

    what: the word for what is counted.
    """

    def __init__(self, what: str = "videos") -> None:
        self._what = what
        self._bar: Progress | None = None
        self._started: float | None = None
        self._done_before = self._spoken = 0.0
        if sys.stderr.isatty():
            self._bar = Progress(
                BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True
            )
            self._task = self._bar.add_task("loading the model", total=None)

    def update(self, counts: Mapping[str, int], working: Mapping[str, tuple[int, int | None]]) -> None:
        """Show these counts; see `carvid.workers.supervise.WorkProgress.update`."""
        now = time.monotonic()
        parts = sum(min(1.0, frames / expected) for frames, expected in working.values() if expected)
        ended = counts["done"] + counts["failed"] + parts
        if self._started is None:
            if not working:
                return
            self._started, self._done_before, self._spoken = now, ended, now
        line = self._line(counts, working, ended, now - self._started)
        if self._bar is not None:
            self._bar.update(self._task, description=line, completed=ended, total=sum(counts.values()))
        elif now - self._spoken >= PLAIN_EVERY_SECONDS:
            self._spoken = now
            typer.echo(line, err=True)

    def note(self, line: str) -> None:
        """Show it; see `carvid.workers.supervise.WorkProgress.note`."""
        typer.echo(f"carvid: {line}", err=True)

    def _line(
        self,
        counts: Mapping[str, int],
        working: Mapping[str, tuple[int, int | None]],
        ended: float,
        seconds: float,
    ) -> str:
        frames = ", ".join(
            f"{path} {done}" + (f"/{expected}" if expected else "")
            for path, (done, expected) in working.items()
        )
        left = ""
        if ended > self._done_before:
            rest = (sum(counts.values()) - ended) * seconds / (ended - self._done_before)
            left = f", {_duration(rest)} left"
        return (
            f"{counts['done']} done, {counts['failed']} failed, {counts['waiting']} waiting of "
            f"{sum(counts.values())} {self._what}{left}" + (f" | frames: {frames}" if frames else "")
        )

    def __enter__(self) -> DatasetProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
