"""Tiny trees in the layouts of image benchmarks, drawn from scenes of the shapes model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from carvid.shapes.scenes import Scene, draw_background, draw_scene, place_things

SIZE = (60, 80)


def scene(seed: int) -> Scene:
    """A drawn picture of SIZE with up to two things."""
    rng = np.random.default_rng(seed)
    background, grounds = draw_background(rng, *SIZE)
    return draw_scene(background, grounds, place_things(rng, *SIZE, 2))


def label_map(drawn: Scene, first: int) -> np.ndarray:
    """(H, W) uint8: the first thing is `first`, the next `first` + 1."""
    labels = np.zeros(SIZE, np.uint8)
    for i, mask in enumerate(drawn.masks):
        labels[mask] = first + i
    return labels


def write_image(path: Path, drawn: Scene) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(drawn.image).save(path, quality=95)


def write_labels(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def write_voc(root: Path, images: int = 2) -> tuple[str, ...]:
    """VOC2012 below `root`. Image i has the classes i + 1 and i + 2; returns the names."""
    return _write_pascal(
        root / "VOC2012", "SegmentationClass", "Segmentation", [f"2007_{i:06}" for i in range(images)]
    )


def write_context(root: Path, images: int = 2) -> tuple[str, ...]:
    """VOC2010 below `root`, as `write_voc`."""
    return _write_pascal(
        root / "VOC2010",
        "SegmentationClassContext",
        "SegmentationContext",
        [f"2008_{i:06}" for i in range(images)],
    )


def write_coco_object(root: Path, images: int = 2) -> tuple[str, ...]:
    names = tuple(f"{i:012}" for i in range(images))
    for i, name in enumerate(names):
        drawn = scene(i)
        write_image(root / "images/val2017" / f"{name}.jpg", drawn)
        write_labels(root / "annotations/val2017" / f"{name}_instanceTrainIds.png", label_map(drawn, i + 1))
    return names


def _write_pascal(top: Path, truth: str, lists: str, names: list[str]) -> tuple[str, ...]:
    for i, name in enumerate(names):
        drawn = scene(i)
        write_image(top / "JPEGImages" / f"{name}.jpg", drawn)
        write_labels(top / truth / f"{name}.png", label_map(drawn, i + 1))
    listing = top / "ImageSets" / lists / "val.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    # As some are published: a byte order mark, CRLF and a blank line.
    listing.write_bytes(b"\xef\xbb\xbf" + b"".join(f"{name}\r\n".encode() for name in names) + b"\r\n")
    return tuple(names)
