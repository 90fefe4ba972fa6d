"""The progress of a run, on stderr: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from carvid.engines import EngineSession
from carvid.frame import Frame
from carvid.result import FrameResult

PLAIN_EVERY_SECONDS = 10.0


class FrameProgress:
    """Counts frames; see `carvid.pipeline.RunProgress`."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._frames = 0
        self._started = self._spoken = 0.0
        self._bar: Progress | None = None

    def start(self, total: int | None) -> None:
        """Begin. total: the expected number of frames; None if unknown."""
        self._total, self._frames = total, 0
        self._started = self._spoken = time.monotonic()
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=total, rate="")

    def begin(self, video: str, number: int, count: int) -> None:
        """From now on the frames are those of another video, the `number`-th of `count`."""
        self._title = f"video {number} of {count}, {video}"
        if self._bar is not None:
            self._bar.update(self._task, description=self._title)

    def observe(self, session: EngineSession) -> None:
        """Nothing: only frames are counted."""

    def advance(self, frame: Frame, result: FrameResult) -> None:
        """One more frame has been written."""
        self._frames += 1
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, advance=1, rate=f"{self._rate(now):.2f} frames/s")
        elif now - self._spoken >= PLAIN_EVERY_SECONDS:
            self._spoken = now
            typer.echo(self._line(now), err=True)

    def finish(self) -> None:
        """There are no more frames."""
        if self._bar is not None:
            self._bar.stop()
        elif self._started:
            typer.echo(self._line(time.monotonic()), err=True)

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            typer.echo(line, err=True)

    @property
    def total(self) -> int | None:
        """The expected number of frames; None if unknown."""
        return self._total

    def _rate(self, now: float) -> float:
        return self._frames / max(now - self._started, 1e-9)

    def _line(self, now: float) -> str:
        of = f" of {self._total}" if self._total is not None else ""
        rate = self._rate(now)
        left = ""
        if self._total is not None and self._frames:
            left = f", {max(0, self._total - self._frames) / rate:.0f} s left"
        return f"{self._title}: {self._frames}{of} frames, {rate:.2f} frames/s{left}"
