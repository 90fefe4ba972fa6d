"""Prompted images for g, out of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from carvid.car.prompts import draw_prompts
from carvid.shapes.scenes import SHAPES, Thing
from shapes_training.sampling import HEIGHT, PATCH, SQUASHED, Mask, Scenes, blob, patch_labels, rough
from shapes_training.words import FULL, NAMES

FRAME_WIDTH = 426


@dataclass(frozen=True)
class Prompted:
    """B prompted images and what is to be known of them.

    images: (B, 240, 240, 3) uint8 RGB. match: (B, len(NAMES)), which names are true. labels: (B, n), what each patch
    shows (`patch_labels`). inside: (B, n), how much of each patch is inside the prompt.
    """

    images: Tensor
    match: Tensor
    labels: Tensor
    inside: Tensor


def _match(thing: Thing | None) -> Tensor:
    match = torch.zeros(len(NAMES))
    if thing is not None:
        match[FULL.index(thing.name)] = 1
        match[len(FULL) + SHAPES.index(thing.shape)] = 1
    return match


def _squash(image: np.ndarray, side: int = SQUASHED) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _stack(rows: list[tuple[np.ndarray, Tensor, Tensor, Mask]]) -> Prompted:
    images, matches, labels, masks = zip(*rows, strict=True)
    inside = [
        torch.from_numpy(_squash(mask.astype(np.float32), SQUASHED // PATCH)).flatten() for mask in masks
    ]
    stacked = torch.from_numpy(np.stack(images))
    return Prompted(stacked, torch.stack(matches), torch.stack(labels), torch.stack(inside))


def from_scenes(scenes: Scenes, batch: int, prompts: Sequence[str]) -> Prompted:
    """Things and pieces of background of whole scenes, under the visual prompts named."""
    rng, rows = scenes.rng, []
    while len(rows) < batch:
        scene = scenes()
        image = torch.from_numpy(cv2.resize(scene.image, (FRAME_WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
        picks: list[int | None] = [*range(len(scene.things)), None]
        seen = []
        for pick in picks:
            mask = blob(rng) & ~scene.masks.any(0) if pick is None else scene.masks[pick]
            seen.append(rough(mask, rng))
        squashed = np.stack([cv2.resize(one.astype(np.uint8), (SQUASHED, SQUASHED)) for one in scene.masks])
        labels = patch_labels(squashed, scene.things)
        drawn = draw_prompts(image, torch.from_numpy(np.stack(seen)), prompts).numpy()
        for i, pick in enumerate(picks):
            if seen[i].sum() < 150 or (pick is None and rng.random() < 0.4):
                continue
            match = _match(None if pick is None else scene.things[pick])
            rows.append((_squash(drawn[i]), match, labels, seen[i]))
    return _stack(rows[:batch])
