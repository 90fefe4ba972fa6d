"""Moving pictures with known masks, and an engine that gives these masks at the frames it is run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.engines import Judge
from carvid.frame import Frame
from carvid.result import FrameResult, ObjectResult
from carvid.shapes.scenes import Scene, draw_background, draw_scene, place_things

HEIGHT, WIDTH = 96, 144


class KnownMasks:
    """An engine that gives known masks, (N, H, W) bool by frame index; `asked` lists the frames it was run on."""

    batch = 1
    seconds: Mapping[str, float] = {"known": 1.0}
    totals: Mapping[str, Any] = {}

    def __init__(self, masks: Mapping[int, NDArray[np.bool_]], queries: Sequence[str]) -> None:
        self.queries, self._masks = tuple(queries), masks
        self.asked: list[int] = []
        self.is_closed = False

    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            self.asked.append(frame.index)
            masks = self._masks[frame.index]
            labels = np.zeros(masks.shape[1:], np.uint8)
            for label, mask in enumerate(masks, 1):
                labels[mask] = label
            objects = tuple(
                ObjectResult(i, query, mask, 0.9 if mask.any() else 0.1, bool(mask.any()))
                for i, (query, mask) in enumerate(zip(self.queries, masks, strict=True), 1)
            )
            yield FrameResult(frame.index, frame.pts_seconds, frame.name, labels, objects)

    def judge(self, text: str, rivals: Sequence[str]) -> Judge:
        return lambda image, masks: np.full(len(masks), 0.9, np.float32)

    def finish(self) -> Iterator[FrameResult]:
        return iter(())

    def settle(self) -> Iterator[FrameResult]:
        return iter(())

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "known"}

    def close(self) -> None:
        self.is_closed = True


def textured(seed: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A picture with something to see everywhere: (H, W, 3) uint8 RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4, width // 4, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def drifting(frames: int, step_px: int = 2) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.bool_]]]:
    """A textured square of 32 px that moves to the right over another texture: pictures, and its masks (1, H, W)."""
    ground, square = textured(1), textured(2)[:32, :32]
    pictures, masks = [], []
    for i in range(frames):
        picture, mask = ground.copy(), np.zeros((1, HEIGHT, WIDTH), np.bool_)
        x = 8 + i * step_px
        picture[30:62, x : x + 32] = square[:, : max(0, WIDTH - x)]
        mask[0, 30:62, x : x + 32] = True
        pictures.append(picture)
        masks.append(mask)
    return pictures, masks


def scenes(seed: int, frames: int, speed_px: float = 2.0) -> list[Scene]:
    """A drawn clip of one thing that drifts over a still background."""
    rng = np.random.default_rng(seed)
    background, grounds = draw_background(rng, HEIGHT, WIDTH)
    (thing,) = place_things(rng, HEIGHT, WIDTH, 1)
    return [
        draw_scene(background, grounds, (replace(thing, x_px=thing.x_px + i * speed_px),))
        for i in range(frames)
    ]


def as_frames(pictures: Sequence[NDArray[np.uint8]]) -> list[Frame]:
    return [Frame(i, i / 10, picture, f"{i:05d}") for i, picture in enumerate(pictures)]
