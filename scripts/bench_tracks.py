"""How well instances keep their ids, on drawn clips of two things of one name that look the same.

    python scripts/bench_tracks.py [--seeds N] [--frames N] [--model]

Prints a Markdown table: IDF1, HOTA and the number of ids given (2 is right), as means over seeds, of each kind of clip:

- `cross`: they cross at some angle and hide each other in part or wholly.
- `overtake`: one passes right behind the other on the same line, the same way or towards it.
- `behind`: both pass behind a thing of another name, which is asked for too.
- `bar`: both pass behind an upright bar, which is not asked for.
- `leave`: one leaves the picture and comes back, at most 20 frames later.

`exact`: the query's mask is the union of what is visible of its things. `noisy`: that mask, grown or shrunk by up to
2 px in each frame anew, with a ragged boundary, specks and holes. With --model: masks from the embedded model.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.measures.tracking import overlaps, track_counts, track_score  # noqa: E402
from carvid.motion.flow import Flow, flows, grey  # noqa: E402
from carvid.motion.tracks import Tracker  # noqa: E402
from carvid.result import FrameResult, ObjectResult  # noqa: E402
from carvid.shapes.scenes import COLOURS, Thing, draw_background, draw_scene  # noqa: E402

HEIGHT, WIDTH = 180, 320
SHAPES = ("circle", "square", "star", "car", "fish")

# Where a thing's centre is, (frames, 2) (x, y) px.
Way = NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """images: (T, H, W, 3) uint8 RGB. names: of the things. masks: (T, N, H, W) bool, what is visible of them."""

    images: list[NDArray[np.uint8]]
    names: tuple[str, ...]
    masks: list[NDArray[np.bool_]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--model", action="store_true", help="masks from the embedded model too")
    parser.add_argument("--each", action="store_true", help="print each clip's IDF1 too")
    options = parser.parse_args()
    print("| clips | masks | IDF1 | least | HOTA | ids |")
    print("|---|---|---|---|---|---|")
    for kind in options.kinds:
        rows: dict[str, list[tuple[float, float, int]]] = {}
        for seed in range(options.seeds):
            clip = drawn(kind, seed, options.frames)
            steps = [flows(one, other)[1] for one, other in itertools.pairwise(map(grey, clip.images))]
            rng = np.random.default_rng([seed, 1])
            masks = {"exact": exact(clip), "noisy": noisy(clip, rng)}
            if options.model:
                masks["model"] = modelled(clip)
            for name, results in masks.items():
                rows.setdefault(name, []).append(score(clip, steps, results))
        for name, found in rows.items():
            idf1, hota, ids = np.mean(found, 0)
            least = min(one[0] for one in found)
            print(f"| {kind} | {name} | {idf1:.3f} | {least:.3f} | {hota:.3f} | {ids:.1f} |", flush=True)
            if options.each:
                print(" ".join(f"{i}:{one[0]:.2f}" for i, one in enumerate(found)))


def drawn(kind: str, seed: int, frames: int) -> Clip:
    rng = np.random.default_rng([list(KINDS).index(kind), seed])
    background, grounds = draw_background(rng, HEIGHT, WIDTH)
    colours = list(rng.permutation(list(COLOURS))[:2])
    radius = float(rng.uniform(16, 27))
    thing = Thing(
        colours[0],
        SHAPES[int(rng.integers(len(SHAPES)))],
        0,
        0,
        radius,
        float(rng.uniform(-0.4, 0.4)),
        shade=float(rng.uniform(0, 0.22)),
        light_rad=float(rng.uniform(0, 2 * np.pi)),
    )
    paths, between, bar = KINDS[kind](rng, frames, radius)
    other = [] if between is None else [replace(thing, colour=colours[1], shape="square", radius_px=between)]
    images, masks = [], []
    for i in range(frames):
        places = [path[i] for path in paths] + [np.array([WIDTH / 2, HEIGHT / 2])] * len(other)
        things = tuple(
            replace(one, x_px=float(x), y_px=float(y))
            for one, (x, y) in zip([thing, thing, *other], places, strict=True)
        )
        scene = draw_scene(background, grounds, things)
        if bar is not None:
            columns = slice(int(WIDTH / 2 - bar / 2), int(WIDTH / 2 + bar / 2))
            scene.image[:, columns], scene.masks[:, :, columns] = (90, 60, 40), False
        images.append(scene.image)
        masks.append(scene.masks)
    return Clip(images, tuple(one.name for one in (thing, thing, *other)), masks)


# The ways of the two things, the radius of the thing before them, and the width of the bar, in px.
Plan = tuple[list[Way], float | None, float | None]


def line(start: NDArray[np.float64], end: NDArray[np.float64], frames: int) -> Way:
    return start + (end - start) * np.linspace(0, 1, frames)[:, None]


def cross(rng: Generator, frames: int, radius: float) -> Plan:
    """Through nearly one point at nearly one time; apart in the first frame."""
    while True:
        middle = np.array([WIDTH, HEIGHT]) / 2 + rng.uniform(-20, 20, 2)
        first = float(rng.uniform(0, 2 * np.pi))
        paths = []
        for angle in (first, first + float(rng.uniform(0.5, 2 * np.pi - 0.5))):
            speed = float(rng.uniform(1.5, 4.0)) * np.array([np.cos(angle), 0.6 * np.sin(angle)])
            times = np.arange(frames) - frames / 2 + float(rng.uniform(-3, 3))
            paths.append(middle + times[:, None] * speed + rng.uniform(-0.3, 0.3, 2) * radius)
        if np.hypot(*(paths[0][0] - paths[1][0])) > 2.6 * radius:
            return paths, None, None


def overtake(rng: Generator, frames: int, radius: float) -> Plan:
    y = HEIGHT / 2 + float(rng.uniform(-40, 40))
    end = float(rng.uniform(0.1, 0.25)) * WIDTH
    one = line(np.array([end, y]), np.array([WIDTH - end, y]), frames)
    if rng.random() < 0.5:
        other = line(np.array([WIDTH - end, y + 3]), np.array([end, y]), frames)
    else:
        other = line(np.array([WIDTH / 2 - 5, y]), np.array([WIDTH / 2 + 20, y + 3]), frames)
    order = [one, other] if rng.random() < 0.5 else [other, one]
    return order, None, None


def behind(rng: Generator, frames: int, radius: float) -> Plan:
    y = HEIGHT / 2 + rng.uniform(-20, 20, 2)
    ends = rng.uniform(0.08, 0.2, 2) * WIDTH
    one = line(np.array([ends[0], y[0]]), np.array([WIDTH - ends[1], y[0]]), frames)
    two = line(np.array([WIDTH - ends[0], y[1]]), np.array([ends[1], y[1]]), frames)
    return [one, two], 1.3 * radius, None


def bar(rng: Generator, frames: int, radius: float) -> Plan:
    ys = HEIGHT * rng.uniform([0.2, 0.55], [0.4, 0.8])
    ends = rng.uniform(0.1, 0.35, 2) * WIDTH
    one = line(np.array([ends[0], ys[0]]), np.array([WIDTH - ends[1], ys[0]]), frames)
    two = line(np.array([WIDTH - ends[1], ys[1]]), np.array([ends[0], ys[1]]), frames)
    return [one, two], None, float(rng.uniform(0.2, 0.6)) * radius


def leave(rng: Generator, frames: int, radius: float) -> Plan:
    """One out on the left and back; the other comes to the middle."""
    y = HEIGHT * rng.uniform(0.25, 0.75, 2)
    times = np.abs(np.arange(frames) - frames / 2)
    speed = float(rng.uniform(2.0, 3.0))
    gone = float(rng.uniform(6, 20))
    x = -radius + speed * (times - gone / 2)
    one = np.stack([x, np.full(frames, y[0])], 1)
    two = line(np.array([WIDTH * 0.8, y[1]]), np.array([WIDTH * 0.45, y[1]]), frames)
    return [one, two], None, None


KINDS: dict[str, Callable[[Generator, int, float], Plan]] = {
    "cross": cross,
    "overtake": overtake,
    "behind": behind,
    "bar": bar,
    "leave": leave,
}


def queries(clip: Clip) -> list[str]:
    return list(dict.fromkeys(clip.names))


def result(index: int, names: Sequence[str], masks: NDArray[np.bool_]) -> FrameResult:
    label_map = np.where(masks.any(0), masks.argmax(0) + 1, 0).astype(np.uint8)
    objects = tuple(
        ObjectResult(i, name, mask, 0.9, bool(mask.any()))
        for i, (name, mask) in enumerate(zip(names, masks, strict=True), 1)
    )
    return FrameResult(index, None, f"{index:05d}", label_map, objects)


def exact(clip: Clip) -> list[FrameResult]:
    names = queries(clip)
    found = []
    for i, masks in enumerate(clip.masks):
        union = np.stack([masks[[one == name for one in clip.names]].any(0) for name in names])
        found.append(result(i, names, union))
    return found


def noisy(clip: Clip, rng: Generator) -> list[FrameResult]:
    names = queries(clip)
    found = []
    for i, one in enumerate(exact(clip)):
        masks = np.stack([ragged(mask, rng) for mask in one.masks])
        found.append(result(i, names, masks))
    return found


def ragged(mask: NDArray[np.bool_], rng: Generator) -> NDArray[np.bool_]:
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    distance -= cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    coarse = rng.normal(0, 1.5, (HEIGHT // 6 + 1, WIDTH // 6 + 1)).astype(np.float32)
    rough = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    found = distance > rough + rng.uniform(-2, 2)
    for value in (True, False):
        for _ in range(3):
            y, x = int(rng.integers(HEIGHT - 4)), int(rng.integers(WIDTH - 4))
            found[y : y + 3, x : x + 3] = value
    return found


def modelled(clip: Clip) -> list[FrameResult]:
    from carvid.loading import load_model
    from carvid.recipe import load_recipe

    model = load_model(load_recipe("shapes", device="cpu"))
    with model.session(queries(clip)) as session:
        return list(session.run(clip.images))


def score(clip: Clip, steps: Sequence[Flow], results: Sequence[FrameResult]) -> tuple[float, float, int]:
    """IDF1, HOTA, and how many ids were given to the two things, of which only the label maps are compared."""
    tracker = Tracker()
    frames, ids = [], set()
    for i, one in enumerate(results):
        tracked = tracker.step(clip.images[i], one, steps[i - 1] if i else None)
        own = [track.id for track in tracked.objects if track.query == clip.names[0]]
        ids |= set(own)
        truth = np.zeros((HEIGHT, WIDTH), np.uint8)
        for number, mask in enumerate(clip.masks[i][:2], 1):
            truth[mask] = number
        found = np.where(np.isin(tracked.label_map, own), tracked.label_map, 0).astype(np.uint8)
        frames.append(overlaps(truth, found))
    figures = track_score(track_counts(frames))
    return figures.idf1, figures.hota, len(ids)


if __name__ == "__main__":
    main()
