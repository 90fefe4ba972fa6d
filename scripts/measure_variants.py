"""What each switch of the released code (docs/variants.md) does to the embedded model's masks on drawn clips.

    python scripts/measure_variants.py out [--clips 10] [--frames 6]

The base is the method as the paper has it, with the embedded model: whole frames, each alone, refer mode, the affinity
step, no negatives, and the visual prompts that its classifier knows, unless the switch is about another prompt. Each
switch is turned on alone. Masks that are empty both before and after are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from carvid.measures.pair import iou
from carvid.media.palette import read_label_png
from carvid.recipe.variant import BENCHMARK, SWITCHES
from carvid.shapes.benchmark import Measured, Variant, measure
from carvid.shapes.drawn_tree import write_dataset

PAPER: dict[str, Any] = {"speed": "exact", "cam": "clip-es", "negatives": (), "keep_best": True}
# The base of a switch that says nothing with the usual one.
OTHER: dict[str, dict[str, Any]] = {
    "gray-swapped": {},
    "drawing-order": {"prompts": ("contour", "gray", "blur")},
    "circle-cut-centre": {"prompts": ("circle", "gray")},
    "rectangle-on-centroid": {"prompts": ("rectangle", "gray")},
    "zero-cam-stays": {"background": ()},
    "background-repeats-queries": {"background": ("a red circle", "a blue square", "grass")},
}


def masks_of(run: Path) -> dict[Path, np.ndarray]:
    paths = sorted((run / "runs").glob("*/masks/*.png"))
    return {path.relative_to(run): read_label_png(path) for path in paths}


def moved(before: Path, after: Path) -> tuple[float, float]:
    """The share of masks that changed, and the mean IoU of all."""
    old, new = masks_of(before), masks_of(after)
    found = [
        iou(labels == label, new[path] == label)
        for path, labels in old.items()
        for label in np.union1d(labels, new[path])[1:]
    ]
    return float(np.mean(np.array(found) < 1)), float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--frames", type=int, default=6)
    options = parser.parse_args()
    tree: Path = options.out / "tree"
    drawn = write_dataset(tree, clips=options.clips, frames=options.frames)

    def run(name: str, settings: dict[str, Any]) -> tuple[Path, Measured]:
        folder = options.out / name
        return folder, measure(tree, drawn, folder, Variant(name, {**PAPER, **settings}))

    bases: dict[str, tuple[Path, Measured]] = {}
    print("| switch | base | masks changed | mean IoU | J&F before | J&F after | present | absent |")
    print("|---|---|---|---|---|---|---|---|")
    alone = {name: (name,) for name, switch in SWITCHES.items() if switch.stage != BENCHMARK}
    for name, switches in {**alone, "all": tuple(SWITCHES)}.items():
        own = OTHER.get(name, {})
        base = ", ".join(f"{field} {' '.join(value) or 'none'}" for field, value in own.items())
        if base not in bases:
            bases[base] = run(f"paper-{len(bases)}", own)
        before, was = bases[base]
        after, now = run(name, {**own, "switches": switches})
        changed, mean = moved(before, after)
        told = (
            f"{changed:.0%} | {mean:.3f} | {was.jf:.3f} | {now.jf:.3f} | {now.present:.0%} | {now.absent:.0%}"
        )
        print(f"| `{name}` | {base or '-'} | {told} |", flush=True)
    for base, (_, was) in bases.items():
        print(f"base {base or '-'}: present {was.present:.1%}, absent {was.absent:.1%}")


if __name__ == "__main__":
    main()
