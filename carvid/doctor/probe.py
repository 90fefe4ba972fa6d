"""What a frame costs on this machine, in 10 to 20 seconds: with the embedded model, and with CLIP's architectures."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from typing import Any

from carvid.doctor.found import Found, scrubbed
from carvid.doctor.hardware import memory_bytes
from carvid.errors import CarvidError

SPEED = "balanced"
SIZE = (854, 480)
# A frame from a key on both sides, and enough of them.
_BETWEEN = 4
_FRAMES = 2 * _BETWEEN + 1
# No further frame is begun after that.
_SMALL_SECONDS = 2.0
# Where the embedded model took longer, CLIP would take far too long.
_CLIP_WITHIN_SECONDS = 5.0
# What both CLIPs take while they are made and run, in float32, with some to spare.
_CLIP_BYTES = 5e9
# A second frame is run, without what only the first costs, if that took no longer.
_SECOND_WITHIN_SECONDS = 3.0


@dataclass(frozen=True)
class Cost:
    """Seconds of a frame of `SIZE` with one query at `SPEED`.

    key_seconds: of one on which the models run. carried_seconds: of one to which masks are carried; None if there was
    no time for one. warm: whether an earlier frame had been run.
    """

    model: str
    device: str
    dtype: str
    key_seconds: float
    carried_seconds: float | None
    warm: bool


def probe(device: str, say: Callable[[str], None]) -> list[Found]:
    """Measure on a drawn clip. Never raises: what cannot be measured is told."""
    started = time.monotonic()
    say("measuring what a frame costs, 10 to 20 seconds (--no-probe leaves it out)")
    try:
        small = _small(device)
    # RuntimeError: what torch raises for a device that does not work, or lacks memory.
    except (CarvidError, RuntimeError, ImportError, OSError) as error:
        return [Found("shapes", f"not measured: {scrubbed(error)}", None)]
    between = (
        "no frame between was measured"
        if small.carried_seconds is None
        else f"{small.carried_seconds:.2g} s a frame between"
    )
    words = (
        f"{_title(small)}, with this small embedded model, not a CLIP: {small.key_seconds:.2g} s a key frame, "
        f"{between}"
    )
    return [Found("shapes", words, asdict(small)), _clip_found(device, time.monotonic() - started)]


def _title(cost: Cost) -> str:
    width, height = SIZE
    return f"{width}x{height}, one query, --speed {SPEED}, on {cost.device} in {cost.dtype}"


def _clip_found(device: str, spent: float) -> Found:
    command = "carvid bench --queries 1 --frames 1"
    _, free = memory_bytes()
    if free is not None and free < _CLIP_BYTES:
        reason = f"it takes up to {_CLIP_BYTES / 1e9:.0f} GB of memory, and {free / 1e9:.1f} GB are free"
    elif spent > _CLIP_WITHIN_SECONDS:
        reason = f"`shapes` took {spent:.0f} s already"
    else:
        try:
            cost = _clip(device)
        except (CarvidError, RuntimeError, OSError) as error:
            return Found("clip", f"not measured: {scrubbed(error)}", None)
        first = "" if cost.warm else ", the first, which takes longer than later ones"
        words = (
            f"{_title(cost)}, with the default model's architectures and random weights: "
            f"{cost.key_seconds:.2g} s a key frame (measured on one{first}); a frame between costs as much as with "
            "shapes"
        )
        return Found("clip", words, asdict(cost))
    return Found("clip", f"not measured: {reason}; `{command}` measures it", None)


def _small(device: str) -> Cost:
    from carvid.engines import run_session
    from carvid.estimate import Spent, per_frame
    from carvid.loading import load_model
    from carvid.recipe import load_recipe
    from carvid.video_session import open_session

    recipe = replace(load_recipe(model="shapes", speed=SPEED, device=device), keyframes=_BETWEEN)
    model = load_model(recipe)
    frames, queries = _drawn(_FRAMES)
    with closing(open_session(model.session, queries, recipe)) as warm_up:
        list(run_session(warm_up, frames[:1]))
    end = time.monotonic() + _SMALL_SECONDS
    with closing(open_session(model.session, queries, recipe)) as session:
        list(run_session(session, takewhile(lambda frame: time.monotonic() < end, frames)))
        spent = Spent(session.seconds, session.totals["motion"]["frames"], session.totals["motion"]["keys"])
    carrying = sum(seconds for stage, seconds in spent.seconds.items() if stage.startswith("motion/"))
    carried = spent.frames - spent.keys
    return Cost(
        "shapes",
        str(model.proposer.device),
        model.proposer.number_type,
        per_frame(spent, recipe, replace(recipe, keyframes=1), min(SIZE)),
        carrying / carried if carried else None,
        warm=True,
    )


def _clip(device: str) -> Cost:
    from carvid.loading import load_model
    from carvid.recipe import load_recipe

    # With theta 0 the query stays, whatever random weights make of it.
    recipe = load_recipe(model="random:clip", speed=SPEED, device=device, theta=0.0)
    model = load_model(recipe)
    frames, queries = _drawn(2)
    session = model.session(queries)
    seconds: list[float] = []
    for frame in frames:
        if not seconds or seconds[0] <= _SECOND_WITHIN_SECONDS:
            started = time.perf_counter()
            session.step(frame)
            seconds.append(time.perf_counter() - started)
    return Cost(
        "random:clip",
        str(model.proposer.device),
        model.proposer.number_type,
        seconds[-1],
        None,
        warm=len(seconds) > 1,
    )


def _drawn(count: int) -> tuple[list[Any], list[str]]:
    """Frames of a drawn clip, and a query for a thing in it."""
    from carvid.bench.clip import CLIP_SEED, query_texts, scaled
    from carvid.frame import Frame
    from carvid.shapes.scenes import moving_clip

    frames = [
        Frame(index=i, pts_seconds=None, image=scaled(scene.image, SIZE), name=f"{i:05d}")
        for i, scene in enumerate(moving_clip(CLIP_SEED, count))
    ]
    return frames, list(query_texts(1))
