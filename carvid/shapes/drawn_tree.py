"""Writes drawn moving clips as a small Ref-DAVIS tree, with expressions for things that are not in them too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from carvid.errors import OutputError
from carvid.media.palette import write_label_png
from carvid.shapes.scenes import COLOURS, SHAPES, Scene, moving_clip

HEIGHT, WIDTH = 240, 426
# Training uses small seeds, clips the seeds from here on.
FIRST_CLIP_SEED = 1_000_000
# One wording for each of Ref-DAVIS's four expression sets.
WORDINGS = ("the {}", "a {}", "{}", "the {} in the scene")
ABSENT_PER_CLIP = 2
# Nobody can say whether a thing that is nearly covered is there.
SMALLEST_VISIBLE_PX = 200
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Clip:
    """One drawn clip.

    expressions: the name of each object, object 1 first. absent: names of things that are not in the clip.
    visible: per frame and object, whether at least `SMALLEST_VISIBLE_PX` pixels of it are visible.
    """

    name: str
    expressions: tuple[str, ...]
    absent: tuple[str, ...]
    visible: tuple[tuple[bool, ...], ...]


def write_dataset(root: Path, *, clips: int, frames: int) -> tuple[Clip, ...]:
    """Draw `clips` clips of `frames` frames, 426x240 px, into the Ref-DAVIS tree `root`.

    They are the split val. Their expressions are in meta_expressions/valid/meta_expressions.json, those of absent
    things in absent_expressions.json beside it. Raises OutputError where the tree cannot be written.
    """
    try:
        drawn = tuple(_write_clip(root, FIRST_CLIP_SEED + i, f"shapes-{i:03d}", frames) for i in range(clips))
        lists = root / "ImageSets" / "2017"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / "val.txt").write_text("".join(f"{clip.name}\n" for clip in drawn), encoding="utf-8")
        meta = root / "meta_expressions" / "valid"
        meta.mkdir(parents=True, exist_ok=True)
        videos = {clip.name: {"expressions": _meta(clip), "frames": _names(frames)} for clip in drawn}
        _write_json(meta / "meta_expressions.json", {"videos": videos})
        _write_json(meta / "absent_expressions.json", {clip.name: clip.absent for clip in drawn})
    except OSError as error:
        raise OutputError(f"cannot write the clips to {root}: {error.strerror or error}") from error
    return drawn


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """image: (H, W, 3) uint8 RGB."""
    encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    path.write_bytes(encoded.tobytes())


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _names(frames: int) -> list[str]:
    return [f"{i:05d}" for i in range(frames)]


def _meta(clip: Clip) -> dict[str, dict[str, str]]:
    """Four consecutive expressions per object, one for each of the four expression sets."""
    said = [
        (wording.replace("{}", name), str(number))
        for number, name in enumerate(clip.expressions, start=1)
        for wording in WORDINGS
    ]
    return {str(i): {"exp": text, "obj_id": number} for i, (text, number) in enumerate(said)}


def _write_clip(root: Path, seed: int, name: str, frames: int) -> Clip:
    images, annotations = (
        root / "JPEGImages" / "480p" / name,
        root / "Annotations_unsupervised" / "480p" / name,
    )
    images.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(parents=True, exist_ok=True)
    visible = []
    for file_name, scene in zip(_names(frames), moving_clip(seed, frames, HEIGHT, WIDTH), strict=True):
        write_jpeg(images / f"{file_name}.jpg", scene.image)
        write_label_png(annotations / f"{file_name}.png", _label_map(scene))
        visible.append(tuple(bool(mask.sum() >= SMALLEST_VISIBLE_PX) for mask in scene.masks))
    names = tuple(thing.name for thing in scene.things)
    return Clip(name, names, _absent(np.random.default_rng([seed, 1]), names), tuple(visible))


def _label_map(scene: Scene) -> NDArray[np.uint8]:
    labels = np.zeros(scene.image.shape[:2], np.uint8)
    for number, mask in enumerate(scene.masks, start=1):
        labels[mask] = number
    return labels


def _absent(rng: Generator, present: Sequence[str]) -> tuple[str, ...]:
    """Names of absent things; the first shares its colour or its shape with a thing in the clip."""
    every = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    words = {word for name in present for word in name.split()}
    others = [name for name in every if name not in present]
    near = [name for name in others if words & set(name.split())]
    first = near[int(rng.integers(len(near)))]
    others.remove(first)
    rest = rng.choice(len(others), ABSENT_PER_CLIP - 1, replace=False)
    return (first, *(others[int(i)] for i in rest))
