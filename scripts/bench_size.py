"""What the working size (`--size`) costs and what it is worth: f's time on random full-size weights, and the masks of
the embedded model on clips drawn at the frames' size.

    python scripts/bench_size.py --frame 1920x1080 --sizes 224,288,336,448,560,full

Every size runs on the same frames, one after the other for each frame. J is that of the masks against the drawn ones;
IoU compares them with the masks at `full`, where the CRF sees whole frames too, over the queries that have a mask in
either.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numpy as np
import torch
from numpy.typing import NDArray

from carvid.frame import Frame
from carvid.loading import load_model
from carvid.measures.pair import iou
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.shapes.drawn_tree import FIRST_CLIP_SEED
from carvid.shapes.scenes import Scene, moving_clip

# Frames of a clip that lie this far apart differ.
APART = 6


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost and masks at each working size.")
    parser.add_argument("--frame", default="1920x1080", help="WIDTHxHEIGHT")
    parser.add_argument("--sizes", default="224,288,336,448,560,full")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--frames", type=int, default=2, help="frames of each clip")
    parser.add_argument("--cost-model", default="random:clip-b16")
    parser.add_argument("--cost-repeats", type=int, default=2, help="0 leaves the cost out")
    parser.add_argument("--no-crf", action="store_true", help="compare the proposals cut at eta")
    given = parser.parse_args()
    width, height = map(int, given.frame.split("x"))
    sizes = [size if size == "full" else int(size) for size in given.sizes.split(",")]
    scenes = [
        scene
        for seed in range(FIRST_CLIP_SEED, FIRST_CLIP_SEED + given.clips)
        for scene in list(moving_clip(seed, APART * given.frames, height, width))[::APART]
    ]
    cost = trunk_seconds(given.cost_model, scenes[0].image, sizes, given.cost_repeats)
    found = masks(scenes, sizes, crf=not given.no_crf)
    print(f"{given.frame}, {len(scenes)} frames of {given.clips} clips\n")
    print("| size | f, s | J | IoU with full | present called present |")
    print("|---|---|---|---|---|")
    for size in sizes:
        seconds = f"{cost[size]:.2f}" if given.cost_repeats else "-"
        print(f"| {size} | {seconds} | {row(scenes, found[size], found.get('full'))} |")


def trunk_seconds(
    name: str, image: NDArray[np.uint8], sizes: Sequence[Any], repeats: int
) -> dict[Any, float]:
    """The median seconds of f's stages (trunk, cam) for each size."""
    taken: dict[Any, list[float]] = {size: [] for size in sizes}
    if not repeats:
        return {}
    model = load_model(load_recipe("refcoco", model=name, device="cpu", crf=False))
    queries = ("a red circle", "a dog", "the blue car")
    for _ in range(repeats):
        for size in sizes:
            session = model.with_settings(size=size).session(queries)
            started = time.perf_counter()
            with torch.inference_mode():
                features = session.see(image).features
                session._rnn.proposer.on(features, image.shape[:2])[0].propose([0, 1, 2])
            taken[size].append(time.perf_counter() - started)
    return {size: float(np.median(seconds)) for size, seconds in taken.items()}


def masks(scenes: Sequence[Scene], sizes: Sequence[Any], *, crf: bool) -> dict[Any, list[NDArray[np.bool_]]]:
    """For each size, the masks of each scene's things, each (N, H, W)."""
    model: Model = load_model(load_recipe("shapes", device="cpu", crf=crf))
    found: dict[Any, list[NDArray[np.bool_]]] = {size: [] for size in sizes}
    for i, scene in enumerate(scenes):
        for size in sizes:
            # What whole frames give is what `--speed exact` gives.
            whole = {"crf_size": "full"} if size == "full" else {}
            chosen = model.with_settings(size=size, **whole)
            session = chosen.session([f"the {thing.name}" for thing in scene.things])
            found[size].append(session.step(Frame(i, None, scene.image, f"{i:05d}")).masks)
    return found


def row(
    scenes: Sequence[Scene], found: Sequence[NDArray[np.bool_]], full: Sequence[NDArray[np.bool_]] | None
) -> str:
    true = [mask for scene in scenes for mask in scene.masks]
    ours = [mask for each in found for mask in each]
    j = float(np.mean([iou(a, b) for a, b in zip(ours, true, strict=True)]))
    present = float(np.mean([mask.any() for mask in ours]))
    if full is None:
        return f"{j:.3f} | - | {present:.1%}"
    whole = [mask for each in full for mask in each]
    either = [iou(a, b) for a, b in zip(ours, whole, strict=True) if a.any() or b.any()]
    return f"{j:.3f} | {float(np.mean(either)):.3f} | {present:.1%}"


if __name__ == "__main__":
    main()
