"""The progress of `carvid run`, which also says how long the run will take, and how long a faster one would."""

from __future__ import annotations

from carvid.cli.progress import FrameProgress
from carvid.engines import EngineSession
from carvid.estimate import Spent, faster, per_frame
from carvid.recipe import Recipe

# Key frames, or frames where every one is run, after which there is something to say.
ENOUGH = 3


class Forecast(FrameProgress):
    """Counts frames, and says once what they cost. recipe: the run's. short_px: the shorter side of its frames."""

    def __init__(self, title: str, recipe: Recipe, short_px: int) -> None:
        super().__init__(title)
        self._recipe, self._short_px = recipe, short_px
        self._taken, self._is_told = 0, False

    def observe(self, session: EngineSession) -> None:
        """Say what the run will take, once that is known."""
        if self._is_told:
            return
        self._taken += session.batch
        motion = session.totals.get("motion")
        frames, keys = (self._taken, self._taken) if motion is None else (motion["frames"], motion["keys"])
        if keys >= ENOUGH:
            self._is_told = True
            self.say(f"carvid: {self._words(Spent(session.seconds, frames, keys))}")

    def _words(self, spent: Spent) -> str:
        words = f"this takes about {self._time(per_frame(spent, self._recipe, self._recipe, self._short_px))}"
        other = faster(self._recipe)
        if other is None:
            return words
        quicker = self._time(per_frame(spent, self._recipe, other, self._short_px))
        return f"{words}; --speed {other.speed}, about {quicker}"

    def _time(self, seconds: float) -> str:
        """The time of the whole video, or of a frame where the number of frames is unknown."""
        return f"{seconds:.2g} s a frame" if self.total is None else in_words(seconds * self.total)


def in_words(seconds: float) -> str:
    """A stretch of time in two figures: `40 s`, `12 min`, `2.5 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}" if seconds >= 10 * size else f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
