"""What is seen: training scenes, what their patches show, and masks as rough as f's."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from carvid.shapes.scenes import Scene, Thing, draw_background, draw_scene, place_things
from shapes_training.words import FULL

HEIGHT, WIDTH = 240, 432  # the least multiples of the patch that hold a frame of 426x240
PATCH = 16
SQUASHED = 240  # g sees the frame squashed to this square

Mask = NDArray[np.bool_]


class Scenes:
    """Draws training scenes on backgrounds out of a pool (a fresh one now and then), flipped and re-lit."""

    def __init__(self, rng: Generator, pool: int = 120) -> None:
        self.rng = rng
        self.pool = [draw_background(rng, HEIGHT, WIDTH) for _ in range(pool)]

    def __call__(self) -> Scene:
        rng = self.rng
        slot = int(rng.integers(len(self.pool)))
        if rng.random() < 0.1:
            self.pool[slot] = draw_background(rng, HEIGHT, WIDTH)
        image, grounds = self.pool[slot]
        image = image[:, ::-1] if rng.random() < 0.5 else image
        image = image + rng.uniform(-10, 10, 3).astype(np.float32)
        count = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.3, 0.3, 0.2]))
        things = place_things(rng, HEIGHT, WIDTH, count, smallest=0.1, largest=0.36)
        return draw_scene(np.ascontiguousarray(image), grounds, things)


def patch_labels(masks: Mask, things: Sequence[Thing]) -> Tensor:
    """What each patch shows: the index into FULL of the thing that covers more than half of it, len(FULL) for
    none, -1 where things only touch it. (n,) int64."""
    count, height, width = masks.shape
    cover = (
        masks.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).mean((2, 4)).reshape(count, -1)
    )
    index = np.array([FULL.index(thing.name) for thing in things])
    label = np.where(cover.max(0) > 0.5, index[cover.argmax(0)], np.where(cover.sum(0) > 0.05, -1, len(FULL)))
    return torch.from_numpy(label)


def rough(mask: Mask, rng: Generator) -> Mask:
    """A mask as f would propose it: seen through f's grid of patches, noisy, cut at a random level."""
    grid = cv2.resize(
        mask.astype(np.float32), (WIDTH // PATCH, HEIGHT // PATCH), interpolation=cv2.INTER_AREA
    )
    grid = grid + rng.normal(0, 0.12, grid.shape).astype(np.float32) * (cv2.dilate(grid, np.ones((3, 3))) > 0)
    soft = cv2.resize(grid, (426, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return soft > rng.uniform(0.3, 0.65)


def blob(rng: Generator) -> Mask:
    """A mask of nothing in particular."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
    axes = (int(rng.uniform(15, 150)), int(rng.uniform(15, 90)))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask.astype(bool)
