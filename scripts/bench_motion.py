"""Measures masks carried between key frames: mean J of the frames between, with a DAVIS tree's annotations as keys.

    python scripts/bench_motion.py DAVIS_ROOT --every 5,10

Methods: the mask of the nearest key as it is (copied); carried as carvid does (carried); the same without refinement
(flow), or refined by the dense CRF, with all its steps or three (crf, crf3). `--methods` chooses.
Every label of a sequence counts as one mask. A sequence needs a frame between two keys.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.measures.pair import iou
from carvid.media.palette import read_label_png
from carvid.motion.propagate import Masks, propagate
from carvid.stream.image_file import read_image

Images = Sequence[NDArray[np.uint8]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Mean J of masks carried between key frames.")
    parser.add_argument("root", type=Path, help="a tree with JPEGImages/480p and Annotations/480p")
    parser.add_argument("--every", default="5,10", help="distances of key frames, separated by commas")
    parser.add_argument("--frames", type=int, default=None, help="only the first frames of each sequence")
    parser.add_argument("--methods", default="copied,carried", help="separated by commas")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    given = parser.parse_args()
    names = sorted(path.name for path in (given.root / "JPEGImages" / "480p").iterdir())
    if not names:
        sys.exit(f"{given.root} has no sequence in JPEGImages/480p")
    distances = [int(text) for text in given.every.split(",")]
    print("| key every | method | " + " | ".join(names) + " | mean J | s per frame between |")
    print("|---" * (len(names) + 4) + "|")
    with ProcessPoolExecutor(given.workers) as pool:
        for every in distances:
            for title in given.methods.split(","):
                jobs = [pool.submit(score, given.root, name, every, given.frames, title) for name in names]
                done = [job.result() for job in jobs]
                cells = " | ".join(f"{mean:.3f}" for mean, _ in done)
                overall, seconds = (float(np.mean(column)) for column in zip(*done, strict=True))
                print(f"| {every} | {title} | {cells} | {overall:.4f} | {seconds:.2f} |", flush=True)


def copied(images: Images, keys: dict[int, Masks]) -> list[Masks]:
    """The mask of the nearest key as it is; of two as near, the earlier one's."""
    return [keys[min(keys, key=lambda key: abs(key - i))] for i in range(len(images))]


def by_crf(steps: int, image: NDArray[np.uint8], masks: Masks, confidence: NDArray[np.float32]) -> Masks:
    """The dense CRF, as far as the masks' place is not sure."""
    import torch

    from carvid.recipe.refinement import CrfOptions
    from carvid.refine.crf import DenseCRF

    torch.set_num_threads(1)
    pixels = torch.from_numpy(np.ascontiguousarray(image))
    refined = DenseCRF(CrfOptions(steps=steps)).refine_binary(pixels, torch.from_numpy(masks)).numpy()
    found: Masks = masks + (1 - confidence) * (refined - masks)
    return found


METHODS: dict[str, Callable[[Images, dict[int, Masks]], list[Masks]]] = {
    "copied": copied,
    "flow": partial(propagate, refine=lambda image, masks, confidence: masks),
    "carried": propagate,
    "crf3": partial(propagate, refine=partial(by_crf, 3)),
    "crf": partial(propagate, refine=partial(by_crf, 10)),
}


def score(
    root: Path,
    name: str,
    every: int,
    frames: int | None,
    title: str,
) -> tuple[float, float]:
    """Mean J of a sequence's frames between keys, and the seconds each took."""
    cv2.setNumThreads(1)
    pictures = sorted((root / "JPEGImages" / "480p" / name).glob("*.jpg"))[:frames]
    images = [read_image(path) for path in pictures]
    labels = [read_label_png(root / "Annotations" / "480p" / name / f"{path.stem}.png") for path in pictures]
    objects = [label for label in np.unique(np.stack(labels)) if label]
    masks = [np.stack([label_map == one for one in objects]) for label_map in labels]
    places = {*range(0, len(images), every), len(images) - 1}
    started = time.perf_counter()
    found = METHODS[title](images, {i: masks[i].astype(np.float32) for i in places})
    seconds = time.perf_counter() - started
    between = [i for i in range(len(images)) if i not in places]
    values = [iou(found[i][n] > 0.5, masks[i][n]) for i in between for n in range(len(objects))]
    return float(np.mean(values)), seconds / len(between)


if __name__ == "__main__":
    main()
