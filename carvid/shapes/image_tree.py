"""Writes drawn images as the tree of the benchmark `shapes`: each has 1 to 3 of its 12 classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from carvid.evaluate.drawn_images import SHAPES
from carvid.media.palette import write_label_png
from carvid.media.whole_file import output_errors
from carvid.shapes.drawn_tree import write_jpeg
from carvid.shapes.scenes import Scene, draw_background, draw_scene, place_things

HEIGHT, WIDTH = 120, 214
# Training uses small seeds, clips those from 1,000,000 on.
FIRST_IMAGE_SEED = 2_000_000
MOST_THINGS = 3


def write_images(root: Path, images: int, *, first_seed: int = FIRST_IMAGE_SEED) -> tuple[str, ...]:
    """Draw `images` images, 214x120 px, into `root`; returns their names. Each is the same however many there are.

    Raises OutputError where the tree cannot be written.
    """
    (split, *_), classes = SHAPES.splits, SHAPES.classes("paper")
    folders = [root / part.format(split=split) for part in (SHAPES.images, SHAPES.truth)]
    names = tuple(f"{number:06d}" for number in range(images))
    with output_errors(root):
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            scene = draw_image(first_seed + number, classes)
            labels = np.zeros((HEIGHT, WIDTH), np.uint8)
            for thing, mask in zip(scene.things, scene.masks, strict=True):
                labels[mask] = classes.index(thing.name) + 1
            write_jpeg(folders[0] / f"{name}.jpg", scene.image)
            write_label_png(folders[1] / f"{name}.png", labels)
    return names


def draw_image(seed: int, classes: tuple[str, ...]) -> Scene:
    """A scene with 1 to `MOST_THINGS` things, whose names are among `classes`."""
    rng = np.random.default_rng(seed)
    background, grounds = draw_background(rng, HEIGHT, WIDTH)
    count = int(rng.integers(1, MOST_THINGS + 1))
    while not (things := place_things(rng, HEIGHT, WIDTH, count, names=classes)):
        pass
    return draw_scene(background, grounds, things)
