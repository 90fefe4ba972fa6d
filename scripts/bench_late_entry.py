"""How many frames of a thing are found before the first key frame that has it, on drawn clips.

    python scripts/bench_late_entry.py --clips 40

In each clip a thing drifts into the picture from a border, between two key frames. The engine is replaced by the drawn
masks, so that only what is carried back from the next key frame is measured. A frame counts as found where the mask has
an IoU of 0.5 with the drawn one; only frames with at least 30 px of the thing count. In the others, and in the frames
not found, a mask of at least 30 px is wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.engines import run_session  # noqa: E402
from carvid.measures.pair import iou  # noqa: E402
from carvid.motion.keyframes import KeyframeSession  # noqa: E402
from carvid.recipe import Recipe  # noqa: E402
from carvid.shapes.scenes import (  # noqa: E402
    COLOURS,
    SHAPES,
    Scene,
    draw_background,
    draw_scene,
    random_thing,
)
from tests.motion_cases import KnownMasks, as_frames  # noqa: E402

FRAMES, HEIGHT, WIDTH = 21, 240, 426
LEAST_PX = 30


def main() -> None:
    parser = argparse.ArgumentParser(description="Frames found before the first key frame that has a thing.")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--every", default="5,10", help="distances of key frames, separated by commas")
    given = parser.parse_args()
    print("| key every | clips | frames before the first key that has the thing | found | wrong masks |")
    print("|---|---|---|---|---|")
    for every in map(int, given.every.split(",")):
        due, found, wrong = np.sum([entering(seed, every) for seed in range(given.clips)], axis=0)
        print(f"| {every} | {given.clips} | {due} | {found / max(1, due):.1%} | {wrong} |", flush=True)


def entering(seed: int, every: int) -> tuple[int, int, int]:
    """How many frames of one clip are due, how many of them are found, and how many frames have a wrong mask."""
    scenes = list(clip(seed))
    masks = {i: scene.masks[:1] & (scene.masks[0].sum() >= LEAST_PX) for i, scene in enumerate(scenes)}
    session = KeyframeSession(KnownMasks(masks, ("the thing",)), Recipe(keyframes=every))
    results = list(run_session(session, as_frames([scene.image for scene in scenes])))
    first = next(one.index for one in results if one.origin and one.origin.key and one.objects[0].present)
    due = found = wrong = 0
    for one in results[:first]:
        drawn, mask = scenes[one.index].masks[0], one.objects[0].mask
        is_due = drawn.sum() >= LEAST_PX
        is_found = is_due and iou(mask, drawn) >= 0.5
        due, found, wrong = due + is_due, found + is_found, wrong + (not is_found and mask.sum() >= LEAST_PX)
    return int(due), int(found), int(wrong)


def clip(seed: int) -> Iterator[Scene]:
    """A thing comes in from the left or right border, at the earliest after the first frame."""
    rng = np.random.default_rng(seed)
    background, grounds = draw_background(rng, HEIGHT, WIDTH)
    colour, shape = list(COLOURS)[int(rng.integers(8))], SHAPES[int(rng.integers(8))]
    thing = random_thing(rng, HEIGHT, WIDTH, colour, shape, 0.14, 0.24)
    side, speed = float(rng.choice([-1, 1])), float(rng.uniform(3, 9))
    wait = int(rng.integers(1, 10))
    border = WIDTH if side > 0 else 0
    for i in range(FRAMES):
        x_px = border + side * (1.2 * thing.radius_px - speed * (i - wait))
        yield draw_scene(background, grounds, (replace(thing, x_px=x_px),))


if __name__ == "__main__":
    main()
