"""The images: training scenes, what their patches show, and masks as rough as f's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from carvid.shapes.scenes import (
    COLOURS,
    SHAPES,
    Scene,
    Thing,
    draw_background,
    draw_scene,
    place_things,
)
from shapes_training.words import FULL

HEIGHT, WIDTH = 240, 432  # the smallest multiples of the patch size that hold a frame of 426x240
PATCH = 16
SQUASHED = 240  # g sees the frame squashed to this square

Mask = NDArray[np.bool_]


class Scenes:
    """Draws training scenes on backgrounds from a pool (sometimes a new one), flipped and lit differently."""

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


@dataclass(frozen=True)
class WindowSize:
    """side: patches per side. smallest_px, largest_px: radius of the thing in it. batch: windows per step."""

    side: int
    smallest_px: float
    largest_px: float
    batch: int


# Small windows hold small things; every step has about the same number of patches.
WINDOW_SIZES = (WindowSize(6, 24, 42, 150), WindowSize(8, 34, 58, 84), WindowSize(11, 50, 84, 45))


class Windows:
    """Draws one thing, often with a neighbour, in a window no larger than needed: many more samples per second.

    wide: the window's width divided by its height, in pixels of the frame; above 1 for g, which sees it squashed.
    """

    def __init__(self, rng: Generator, wide: float = 1.0, pool: int = 120) -> None:
        self.rng, self.wide = rng, wide
        self.pool = [draw_background(rng, HEIGHT, WIDTH) for _ in range(pool)]

    def size(self) -> WindowSize:
        return WINDOW_SIZES[int(self.rng.integers(len(WINDOW_SIZES)))]

    def place(self, side: int) -> tuple[int, int]:
        """A random place, row and column, in g's grid of patches for a window of `side` patches per side."""
        last = SQUASHED // PATCH - side
        return int(self.rng.integers(last + 1)), int(self.rng.integers(last + 1))

    def __call__(self, size: WindowSize) -> Scene:
        """A window as a scene; its first thing is the one it is drawn for."""
        rng = self.rng
        height, width = PATCH * size.side, round(PATCH * size.side * self.wide)
        image, grounds = self.pool[int(rng.integers(len(self.pool)))]
        y, x = int(rng.integers(HEIGHT - height + 1)), int(rng.integers(WIDTH - width + 1))
        view = image[y : y + height, x : x + width] + rng.uniform(-10, 10, 3).astype(np.float32)
        own = self._thing(size, height / 2, width / 2, 0.12 * height)
        things = [own]
        for _ in range(int(rng.choice([0, 1, 2], p=[0.35, 0.45, 0.2]))):
            way, far = float(rng.uniform(0, 2 * np.pi)), own.radius_px * float(rng.uniform(1.5, 2.1))
            other = self._thing(
                size, own.y_px + far * np.sin(way), own.x_px + far * np.cos(way), 0.0, like=own
            )
            things.insert(int(rng.integers(2)), other)
        scene = draw_scene(view, grounds, tuple(things))
        first = [things.index(own)] + [i for i, thing in enumerate(things) if thing is not own]
        return Scene(scene.image, tuple(things[i] for i in first), scene.masks[first], grounds)

    def _thing(self, size: WindowSize, y: float, x: float, jitter: float, like: Thing | None = None) -> Thing:
        rng = self.rng
        colour, shape = list(COLOURS)[int(rng.integers(8))], SHAPES[int(rng.integers(8))]
        share = rng.random()
        if like is not None and share < 0.5:
            colour, shape = (like.colour, shape) if share < 0.25 else (colour, like.shape)
        return Thing(
            colour=colour,
            shape=shape,
            x_px=x + float(rng.uniform(-jitter, jitter)) * self.wide,
            y_px=y + float(rng.uniform(-jitter, jitter)),
            radius_px=float(rng.uniform(size.smallest_px, size.largest_px)),
            angle_rad=float(rng.uniform(-0.6, 0.6)),
            shade=float(rng.uniform(0.0, 0.22)),
            light_rad=float(rng.uniform(0, 2 * np.pi)),
            tint=tuple(rng.uniform(-12, 12, 3).tolist()),
        )


def squash(scene: Scene, side_px: int) -> Scene:
    """The scene as a square of `side_px`, as g sees it; of its things only the names stay right."""
    size = (side_px, side_px)
    if scene.image.shape[:2] == size:
        return scene
    masks = [cv2.resize(mask.astype(np.uint8), size).astype(bool) for mask in scene.masks]
    image = cv2.resize(scene.image, size, interpolation=cv2.INTER_AREA)
    return Scene(image.astype(np.uint8), scene.things, np.stack(masks), scene.grounds)


def patch_labels(masks: Mask, things: Sequence[Thing]) -> Tensor:
    """What each patch shows, (n,) int64: the index into FULL of the thing that covers more than half of it, len(FULL)
    for no thing, -1 where things cover only part of it."""
    count, height, width = masks.shape
    cover = (
        masks.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).mean((2, 4)).reshape(count, -1)
    )
    index = np.array([FULL.index(thing.name) for thing in things])
    label = np.where(cover.max(0) > 0.5, index[cover.argmax(0)], np.where(cover.sum(0) > 0.05, -1, len(FULL)))
    return torch.from_numpy(label)


def rough(mask: Mask, rng: Generator) -> Mask:
    """A mask as f would propose it: in the resolution of f's patches, noisy, cut at a random level."""
    height, width = mask.shape
    size = (round(width / PATCH), round(height / PATCH))
    grid = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    grid = grid + rng.normal(0, 0.12, grid.shape).astype(np.float32) * (cv2.dilate(grid, np.ones((3, 3))) > 0)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR) > rng.uniform(0.3, 0.65)


def blob(rng: Generator) -> Mask:
    """A random elliptical mask."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
    axes = (int(rng.uniform(15, 150)), int(rng.uniform(15, 90)))
    cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask.astype(bool)
