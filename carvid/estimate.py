"""How long a run will take, and how long at a faster speed: from the seconds of the frames so far, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carvid.motion.keyframes import MOST_BETWEEN
from carvid.recipe import Recipe, at_speed
from carvid.recipe.option import Size
from carvid.recipe.refinement import crf_working_size
from carvid.recipe.speed import SPEEDS

# Stages whose cost follows the area of the pictures they work on, by the field that limits these pictures.
_BY_AREA = {
    "size": ("trunk", "cam", "affinity"),
    "flow_size": ("motion/flow",),
    "crf_size": ("crf",),
}


@dataclass(frozen=True)
class Spent:
    """What a run has cost so far.

    seconds: per stage, as `carvid.engines.EngineSession` has them. frames: how many are done, keys: on how many of
    them the models ran.
    """

    seconds: Mapping[str, float]
    frames: int
    keys: int


def per_frame(spent: Spent, now: Recipe, then: Recipe, short_px: int) -> float:
    """The mean seconds of a frame with the recipe `then`, from what was spent with `now`.

    short_px: the shorter side of the frames. A stage that works on smaller pictures is taken to cost as much less as
    their area is smaller, and the models a frame the same wherever key frames lie. What carrying masks costs is known
    only if some were carried; otherwise it counts as nothing.
    """
    scale = {
        stage: _area(name, then, short_px) / _area(name, now, short_px)
        for name, stages in _BY_AREA.items()
        for stage in stages
    }
    at_key = between = 0.0
    for stage, seconds in spent.seconds.items():
        if stage.startswith("motion/"):
            between += seconds * scale.get(stage, 1.0)
        else:
            at_key += seconds * scale.get(stage, 1.0)
    if then.keyframes is not None:
        share = 1 / then.keyframes
    else:
        share = spent.keys / spent.frames if now.keyframes is None else 1 / MOST_BETWEEN
    carried = spent.frames - spent.keys
    return at_key / spent.keys * share + (between / carried * (1 - share) if carried else 0.0)


def faster(recipe: Recipe) -> Recipe | None:
    """The recipe at the next faster speed; None for one at the fastest."""
    names = list(SPEEDS)
    place = names.index(recipe.speed) + 1
    return at_speed(recipe, names[place]) if place < len(names) else None


def _area(name: str, recipe: Recipe, short_px: int) -> float:
    """The area that the field of this name leaves of a frame, as a share."""
    size: Size = getattr(recipe, name)
    if name == "crf_size":
        seen, _ = crf_working_size((short_px, short_px), size)
    else:
        seen = short_px if size == "full" else min(size, short_px)
    return (seen / short_px) ** 2
