"""The engines that segment, by name, and what each must offer: a model, and a session per video.

To add an engine, write a class or function that takes a recipe and returns an `EngineModel`, and a line in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.recipe import Recipe
from carvid.result import FrameResult

#: For each engine, what makes its model from a recipe, as module:name; imported only when that engine is used.
ENGINES = {"car": "carvid.loading:load_model"}

T = TypeVar("T")

#: Takes an image (H, W, 3) uint8 RGB and K masks (K, H, W) bool; returns (K,) float32 in [0, 1], how sure the engine is
#: that each mask shows what a text says, and not what any of its rivals says.
Judge = Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[np.float32]]


class EngineSession(Protocol):
    """One video and one query set: takes frames, gives their results.

    queries: the query set, in the caller's order.
    batch: how many frames to pass to `steps` at a time; it may change between calls.
    seconds: wall-clock seconds per stage, summed over the frames so far.
    totals: other counts over the frames so far, in types JSON holds.
    """

    @property
    def queries(self) -> tuple[str, ...]: ...
    @property
    def batch(self) -> int: ...
    @property
    def seconds(self) -> Mapping[str, float]: ...
    @property
    def totals(self) -> Mapping[str, Any]: ...
    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        """Take the next frames of the video, and give the results that are ready: one per frame, in order.

        A session may hold frames back until it has seen later ones.
        """
        ...

    def finish(self) -> Iterator[FrameResult]:
        """The results still due, once the video's last frame is taken."""
        ...

    def settle(self) -> Iterator[FrameResult]:
        """The results that are only held back, at once, where a video is given up: nothing more is run for them."""
        ...

    def judge(self, text: str, rivals: Sequence[str]) -> Judge:
        """What tells how well masks of a frame show a text, which need be none of the queries.

        Raises UsageError for texts that cannot be used.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """What is needed to make the same masks again, as plain data: weights with their hashes, settings, texts."""
        ...

    def close(self) -> None:
        """Free what is held for this video."""
        ...


class EngineModel(Protocol):
    """A loaded recipe: the weights and what depends on them alone. Threads may share it, each with its own session."""

    @property
    def recipe(self) -> Recipe: ...
    def session(self, queries: Sequence[str]) -> EngineSession:
        """A session for one video. Raises UsageError for queries that cannot be used."""
        ...

    def with_settings(self, **changes: Any) -> EngineModel:
        """The same weights with other settings, named as fields of `Recipe`. Raises UsageError as `Recipe` does."""
        ...

    def click(
        self, image: NDArray[np.uint8], points: Sequence[tuple[float, float, bool]]
    ) -> tuple[NDArray[np.bool_], float]:
        """What lies at some points of an image (H, W, 3) uint8 RGB: a mask (H, W), and how sure it is, in [0, 1].

        points: x and y in px, and whether the mask is to hold them. Raises UsageError where the recipe names no SAM.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """Like `EngineSession.describe`, without what depends on the queries."""
        ...


def gather(
    items: Iterator[T], count: int, stop: Callable[[], bool] = lambda: False
) -> tuple[list[T], Exception | None]:
    """Take up to `count` items; fewer when they run out, `stop()` is true, or getting one raises.

    Returns the items and that exception, if any, for the caller to raise once the items before it are dealt with.
    """
    some: list[T] = []
    try:
        while len(some) < count and not stop():
            some.append(next(items))
    except StopIteration:
        return some, None
    except Exception as error:  # noqa: BLE001 - the caller raises it again
        return some, error
    return some, None


def run_session(session: EngineSession, frames: Iterable[Frame]) -> Iterator[FrameResult]:
    """Segment frames in order, `session.batch` at a time. An error from `frames` comes after the earlier results."""
    rest = iter(frames)
    while True:
        some, error = gather(rest, session.batch)
        yield from session.steps(some)
        if error is not None or not some:
            break
    yield from session.finish()
    if error is not None:
        raise error


def load_engine(recipe: Recipe) -> EngineModel:
    """Load the model of the recipe's engine.

    Raises UsageError for an unknown engine or options it cannot use, WeightsError for weights it cannot load.
    """
    if recipe.engine not in ENGINES:
        raise UsageError(f"engine is {recipe.engine!r}; expected one of {', '.join(ENGINES)}")
    module, name = ENGINES[recipe.engine].split(":")
    model: EngineModel = getattr(import_module(module), name)(recipe)
    return model
