"""How much a change of the code moves the embedded model's masks on drawn clips, and their J&F.

    PYTHONPATH=OLD_CHECKOUT python scripts/compare_masks.py draw old
    PYTHONPATH=NEW_CHECKOUT python scripts/compare_masks.py draw new
    python scripts/compare_masks.py iou old new

`iou` compares every query's mask in every frame; masks that are empty in both are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from carvid.measures.pair import iou
from carvid.media.palette import read_label_png
from carvid.shapes.benchmark import WHOLE, Variant, measure, table
from carvid.shapes.drawn_tree import write_dataset

VARIANTS = (WHOLE, Variant("every frame alone, with the affinity step", {"keyframes": 1, "cam": "clip-es"}))


def draw(out: Path, clips: int, frames: int) -> None:
    drawn = write_dataset(out / "tree", clips=clips, frames=frames)
    rows = [measure(out / "tree", drawn, out / f"variant-{i}", each) for i, each in enumerate(VARIANTS)]
    print(table(rows))


def compare(old: Path, new: Path) -> None:
    for i, variant in enumerate(VARIANTS):
        found: list[float] = []
        paths = sorted((old / f"variant-{i}" / "runs").glob("*/masks/*.png"))
        for path in paths:
            before, after = read_label_png(path), read_label_png(new / path.relative_to(old))
            for label in np.union1d(before, after)[1:]:
                found.append(iou(before == label, after == label))
        same = np.mean(np.array(found) == 1)
        print(
            f"{variant.name}: {len(paths)} frames, {len(found)} masks: mean IoU {np.mean(found):.4f}, "
            f"lowest {np.min(found):.3f}, {same:.1%} the same"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    drawing = verbs.add_parser("draw")
    drawing.add_argument("out", type=Path)
    drawing.add_argument("--clips", type=int, default=10)
    drawing.add_argument("--frames", type=int, default=11)
    comparing = verbs.add_parser("iou")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    options = parser.parse_args()
    if options.verb == "draw":
        draw(options.out, options.clips, options.frames)
    else:
        compare(options.old, options.new)


if __name__ == "__main__":
    main()
