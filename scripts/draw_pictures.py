"""Draw the pictures of the docs with the embedded model: README's three frames of the demo's clip, and one with words
that choose; and one 1080p frame at each speed.

python scripts/draw_pictures.py docs/pictures
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import carvid
from carvid.loading import load_model
from carvid.recipe import load_recipe
from carvid.recipe.speed import SPEEDS
from carvid.shapes.drawn_tree import FIRST_CLIP_SEED, write_dataset
from carvid.shapes.scenes import draw_background, draw_scene, moving_clip, random_thing
from carvid.sinks.legend import Legend

FRAMES, SHOWN = 24, (0, 11, 23)
# Three squares, x, y and radius in px, in a frame of (height, width) px.
SQUARES, SQUARES_SIZE = ((80, 60, 24), (220, 150, 36), (350, 100, 30)), (240, 426)
# A clip with three things, one of them thin, and how large its frame is drawn and shown, (width, height) in px.
LARGE_SEED, LARGE, SHOWN_SIZE = FIRST_CLIP_SEED + 2, (1920, 1080), (640, 360)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the docs.")
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    save(demo(), out / "shapes.png")
    save(words(), out / "words.png")
    save(speeds(), out / "speeds.png")


def save(panels: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Write pictures side by side, each (H, W, 3) uint8 RGB."""
    Image.fromarray(np.hstack(panels)).quantize(128).save(path, optimize=True)


def demo() -> list[NDArray[np.uint8]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (clip,) = write_dataset(root, clips=1, frames=FRAMES)
        queries = [f"the {name}" for name in (*clip.expressions, *clip.absent[:1])]
        segmenter = carvid.VideoSegmenter.from_pretrained("shapes", queries=queries, device="cpu")
        with carvid.open_frames(root / "JPEGImages" / "480p" / clip.name) as stream:
            frames = [frame for frame in stream if frame.index in SHOWN]
    height, width = frames[0].image.shape[:2]
    legend = Legend(queries, height, width)
    panels = []
    for frame, result in zip(frames, segmenter.run(frames), strict=True):
        canvas = np.array(result.plot(frame.image))
        legend.draw(canvas, result)
        panels.append(canvas)
    return panels


def words() -> list[NDArray[np.uint8]]:
    """A frame of a clip with three yellow squares, asked for one of them by its place, and by its size."""
    rng = np.random.default_rng(5)
    background, grounds = draw_background(rng, *SQUARES_SIZE)
    like = random_thing(rng, *SQUARES_SIZE, "yellow", "square", 0.15, 0.15)
    images = []
    for t in range(8):
        things = tuple(replace(like, x_px=x + t, y_px=y, radius_px=radius) for x, y, radius in SQUARES)
        images.append(draw_scene(background, grounds, things).image)
    panels = []
    for query in ("the yellow square on the left", "the largest yellow square"):
        segmenter = carvid.VideoSegmenter.from_pretrained("shapes", queries=[query], device="cpu")
        result = next(iter(segmenter.run(images)))
        canvas = np.array(result.plot(images[0]))
        Legend([query], *SQUARES_SIZE).draw(canvas, result)
        panels.append(canvas)
    return panels


def speeds() -> list[NDArray[np.uint8]]:
    """One frame at each speed, in the order of SPEEDS."""
    scene = next(moving_clip(LARGE_SEED, 1, LARGE[1], LARGE[0]))
    panels = []
    for speed in SPEEDS:
        model = load_model(load_recipe("shapes", speed=speed, device="cpu"))
        with model.session([f"the {thing.name}" for thing in scene.things]) as session:
            canvas = np.array(session.step(scene.image).plot(scene.image))
        panels.append(cv2.resize(canvas, SHOWN_SIZE, interpolation=cv2.INTER_AREA))
    return panels


if __name__ == "__main__":
    main()
