"""What the tests of the service share: the embedded model, lent once, and drawn images, videos and folders."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.recipe import load_recipe
from carvid.serve.lent_model import LentModel
from carvid.shapes.scenes import Scene, Thing, draw_scene
from tests.media import write_video

HEIGHT, WIDTH = 120, 160
RED, BLUE, ABSENT = "the red circle", "the blue square", "the yellow star"


@lru_cache(maxsize=1)
def shapes_model() -> LentModel:
    return LentModel(load_recipe(model="shapes", device="cpu"))


def scene(moved: float = 0.0) -> Scene:
    """A red circle on the left, `moved` px to the right of its place, and a blue square on the right."""
    ground = np.full((HEIGHT, WIDTH, 3), (104, 136, 78), np.float32)
    return draw_scene(
        ground,
        ("grass",),
        (
            Thing("red", "circle", 45 + moved, 60, 28, 0.0),
            Thing("blue", "square", 120, 62, 25, 0.0),
        ),
    )


def encoded(image: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def write_clip(path: Path, frames: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, [scene(float(i)).image for i in range(frames)])


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())
