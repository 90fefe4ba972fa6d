"""The recorded model, loaded again, and what it says of one frame alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from carvid.engines import EngineModel, load_engine
from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.made_with import machine, package_versions
from carvid.recipe import recipe_of
from carvid.result import FrameResult
from carvid.stream import NoFrameError, open_frames
from carvid.verify.weights_hash import FoundWeights
from carvid.words.queries import Expressions

T = TypeVar("T")


def load_again(
    description: Mapping[str, Any], weights: Sequence[FoundWeights], device: str | None
) -> EngineModel:
    """Load the model that a record describes (`carvid.model.Model.describe`), with weights that were found.

    device: where to compute; None for what the record names if this machine has it, else the best there is.
    Raises UsageError for a record that is no recipe or cannot run here, WeightsError for weights that cannot be loaded.
    """
    given = {each.role: each.given for each in weights}
    settings = dict(description.get("settings") or {})
    if settings.get("negatives") == settings.get("background"):
        # As recorded they lack the queries, so that they would be told apart from the background texts they stand for.
        settings["negatives"] = None
    recipe = recipe_of({**description, "settings": settings})
    if recipe.sam is not None:
        recipe = replace(recipe, sam=given.get("sam"))
    return load_engine(
        replace(
            recipe,
            proposer=given.get("proposer"),
            classifier=given.get("classifier"),
            device=device or _device(str(description.get("device"))),
            dtype=description.get("dtype", "auto"),
            batch=1,
            offline=True,
            allow_pickle=any(each.allow_pickle for each in weights),
        )
    )


def _device(recorded: str) -> str:
    from carvid.weights.device import available_devices

    kind = recorded.partition(":")[0]
    return kind if kind in {one.type for one in available_devices()} else "auto"


class AloneEngine:
    """Runs a model on single frames, for some queries, as a session for a video would on its first one.

    speaks: per query, whether words choose among what the model finds, which takes more frames than one.
    """

    def __init__(self, model: EngineModel, queries: Sequence[str]) -> None:
        """Raises UsageError for queries that cannot be used."""
        self._model, self._asked = model, tuple(queries)
        self._places = list(range(len(queries)))
        self.speaks = [False] * len(queries)
        expressions = Expressions.of(queries)
        self._chooses = model.recipe.words and expressions.speak
        if self._chooses:
            self._asked = expressions.asked
            self._places = [one.place for one in expressions.each]
            self.speaks = [one.speaks for one in expressions.each]

    def run(self, frame: Frame) -> Made:
        """What the model says of a frame. A session of its own for each, as SAM may not refine every frame of one."""
        with closing(self._model.session(self._asked)) as session:
            (result,) = [*session.steps([frame]), *session.finish()]
        steps = None
        if result.evidence is not None:
            spread = [each.spread(self._places) if self._chooses else each for each in result.evidence.steps]
            steps = [dict(zip(each.live, map(float, each.scores), strict=True)) for each in spread]
        return Made(result, self._places, steps)


@dataclass(frozen=True, eq=False)
class Made:
    """A frame's result. places: for each query its place among the result's. steps: of the recurrence, by query."""

    result: FrameResult
    places: Sequence[int]
    steps: list[dict[int, float]] | None


def frame_of(
    source: Path, index: int, *, reader: str, start: int, every: int, from_start: bool
) -> Frame | None:
    """A frame of a source by its index; None where the source gives none.

    start, every: of the frames that were segmented. from_start: read on from the first of them, as they were then.
    Raises InputError where the source cannot be read.
    """
    first = start if from_start else index
    try:
        with open_frames(
            source,
            reader=reader,
            start_frame=first,
            stop_frame=index + 1,
            every=every if from_start else 1,
            read_ahead=1,
        ) as frames:
            return next((frame for frame in frames if frame.index == index), None)
    except NoFrameError:
        return None


def made_otherwise(manifest: Mapping[str, Any], recorded_device: object, device: object) -> list[str]:
    """What is other than it was, or was not recorded, of all that may change the last digits of numbers.

    manifest: with `versions` and `machine` as in run.json, where these are known. device: of the model, here.
    """
    versions, there = manifest.get("versions"), manifest.get("machine")
    found = []
    kinds = [str(each).partition(":")[0] for each in (recorded_device, device)]
    if kinds[0] != kinds[1]:
        found.append(f"on {kinds[0]} then, {kinds[1]} now")
    elif kinds[0] != "cpu":
        found.append(f"on {kinds[0]}, where sums may depend on the card and on how many frames run together")
    if isinstance(versions, dict):
        now = package_versions()
        found += [
            f"{name} {versions.get(name)} then, {now.get(name)} now"
            for name in sorted({*versions, *now})
            if versions.get(name) != now.get(name)
        ]
    else:
        found.append("versions of packages are not recorded")
    if not isinstance(there, dict):
        return [*found, "the processor is not recorded"]
    here = {**machine(), "batch": 1}
    names = {"processor": "processor", "threads": "threads", "batch": "frames run together"}
    return found + [
        f"{words} {there.get(key)} then, {here[key]} now"
        for key, words in names.items()
        if there.get(key) != here[key]
    ]


def sample(items: Iterable[T], count: int, rng: random.Random) -> list[T]:
    """`count` items at random, or all if there are fewer; each as likely as any other. Only these are held."""
    if count < 1:
        raise UsageError(f"rerun is {count}; expected at least 1 frame")
    held: list[T] = []
    for i, item in enumerate(items):
        if i < count:
            held.append(item)
        elif (place := rng.randrange(i + 1)) < count:
            held[place] = item
    return held
