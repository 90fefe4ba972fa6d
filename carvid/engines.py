"""What segments, by name, and what every engine offers: a model without a video, and its sessions with one.

A new engine is a file with a class that is made of a recipe, and a line in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol, TypeVar

from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.recipe import Recipe
from carvid.result import FrameResult

#: What makes each engine's model of a recipe, as module:name; a module is imported when its engine is asked for.
ENGINES = {"car": "carvid.loading:load_model"}

T = TypeVar("T")


class EngineSession(Protocol):
    """One video and one query set: frames in, their results out.

    queries: the query set, in the caller's order.
    batch: how many frames it likes at a time; it may change.
    seconds: wall-clock seconds spent per stage, growing from frame to frame.
    totals: what else it counts over frames, as JSON can hold it.
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
        """Segment frames that follow each other in the video, in their order."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """What a record needs to make the same masks again: weights with their hashes, settings, texts; plain data."""
        ...

    def close(self) -> None:
        """Free what belongs to this video."""
        ...


class EngineModel(Protocol):
    """A recipe loaded: weights and what depends on them alone. Threads may share it, each with a session."""

    @property
    def recipe(self) -> Recipe: ...
    def session(self, queries: Sequence[str]) -> EngineSession:
        """A session for one video. Raises UsageError for queries that cannot be used."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """As `EngineSession.describe`, without what depends on the queries."""
        ...


def gather(
    items: Iterator[T], count: int, stop: Callable[[], bool] = lambda: False
) -> tuple[list[T], Exception | None]:
    """Up to `count` items, fewer where they end, where `stop` says so, or where they fail: then with what was raised,
    to be raised again once the items before it are dealt with."""
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
    """Segment frames in their order, as many at a time as the session likes; what `frames` raises comes after them."""
    rest = iter(frames)
    error: Exception | None = None
    while error is None:
        some, error = gather(rest, session.batch)
        if not some and error is None:
            return
        yield from session.steps(some)
    raise error


def load_engine(recipe: Recipe) -> EngineModel:
    """The model of the recipe's engine, loaded. Raises UsageError for options, WeightsError for weights."""
    if recipe.engine not in ENGINES:
        raise UsageError(f"engine is {recipe.engine!r}; expected one of {', '.join(ENGINES)}")
    module, name = ENGINES[recipe.engine].split(":")
    model: EngineModel = getattr(import_module(module), name)(recipe)
    return model
