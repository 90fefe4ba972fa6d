"""Prompted images for g, made from scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from carvid.car.prompts import draw_prompts
from carvid.shapes.scenes import SHAPES, Scene, Thing
from shapes_training.sampling import (
    PATCH,
    SQUASHED,
    Mask,
    Scenes,
    Windows,
    blob,
    patch_labels,
    rough,
    squash,
)
from shapes_training.words import FULL, NAMES

FRAME_WIDTH = 426


@dataclass(frozen=True)
class Prompted:
    """B prompted images and their labels.

    images: (B, 240, 240, 3) uint8 RGB; windows are smaller. match: (B, len(NAMES)), which names are true. labels:
    (B, n), what each patch shows (`patch_labels`). inside: (B, n), how much of each patch is inside the prompt.
    place: for windows, their place in the grid (`Windows.place`).
    """

    images: Tensor
    match: Tensor
    labels: Tensor
    inside: Tensor
    place: tuple[int, int] | None = None


def _match(thing: Thing | None) -> Tensor:
    match = torch.zeros(len(NAMES))
    if thing is not None:
        match[FULL.index(thing.name)] = 1
        match[len(FULL) + SHAPES.index(thing.shape)] = 1
    return match


def _squash(image: np.ndarray, side: int = SQUASHED) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _stack(
    rows: list[tuple[np.ndarray, Tensor, Tensor, Mask]], place: tuple[int, int] | None = None
) -> Prompted:
    images, matches, labels, masks = zip(*rows, strict=True)
    side = images[0].shape[0] // PATCH
    inside = [torch.from_numpy(_squash(mask.astype(np.float32), side)).flatten() for mask in masks]
    stacked = torch.from_numpy(np.stack(images))
    return Prompted(stacked, torch.stack(matches), torch.stack(labels), torch.stack(inside), place)


def from_windows(windows: Windows, prompts: Sequence[str]) -> Prompted:
    """Windows with a prompted thing or piece of background each."""
    rng, size = windows.rng, windows.size()
    side, rows = PATCH * size.side, []
    while len(rows) < size.batch:
        scene = windows(size)
        there = rng.random() < 0.85
        mask = scene.masks[0] if there else _elsewhere(scene, rng)
        seen = rough(mask, rng)
        if seen.sum() < 150 or (there and mask.sum() < 500):
            continue
        image = draw_prompts(torch.from_numpy(scene.image), torch.from_numpy(seen)[None], prompts)[0].numpy()
        match = _match(scene.things[0] if there else None)
        rows.append((_squash(image, side), match, _labels(scene, side), seen))
    return _stack(rows, windows.place(size.side))


def _elsewhere(scene: Scene, rng: Generator) -> Mask:
    """A piece of background."""
    height, width = scene.image.shape[:2]
    free: Mask = cv2.resize(blob(rng).astype(np.uint8), (width, height)).astype(bool)
    return free & ~scene.masks.any(0)


def _labels(scene: Scene, side: int) -> Tensor:
    return patch_labels(squash(scene, side).masks, scene.things)


def from_scenes(scenes: Scenes, batch: int, prompts: Sequence[str]) -> Prompted:
    """Whole scenes with a thing or a piece of background under the visual prompts `prompts`."""
    rng, rows = scenes.rng, []
    while len(rows) < batch:
        scene = scenes()
        image = torch.from_numpy(scene.image)
        picks: list[int | None] = [*range(len(scene.things)), None]
        seen = []
        for pick in picks:
            mask = blob(rng) & ~scene.masks.any(0) if pick is None else scene.masks[pick]
            seen.append(rough(mask, rng))
        labels = _labels(scene, SQUASHED)
        drawn = draw_prompts(image, torch.from_numpy(np.stack(seen)), prompts).numpy()
        for i, pick in enumerate(picks):
            if seen[i].sum() < 150 or (pick is None and rng.random() < 0.4):
                continue
            match = _match(None if pick is None else scene.things[pick])
            rows.append((_squash(drawn[i]), match, labels, seen[i]))
    return _stack(rows[:batch])
