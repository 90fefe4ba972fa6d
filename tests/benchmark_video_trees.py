"""Tiny trees of video benchmarks, drawn: two videos of three frames, 160x120 px, with one to three things each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.media.palette import write_label_png
from carvid.media.rle import encode_rle
from carvid.shapes.scenes import Scene, moving_clip

HEIGHT, WIDTH = 120, 160
#: Neither starts at 00000; their steps are 5 and 20.
VIDEOS = {"a1b2c3": ("00005", "00010", "00015"), "d4e5f6": ("00020", "00040", "00060")}
SEED = 2_000_000


def scenes(number: int, frames: int = 3) -> list[Scene]:
    return list(moving_clip(SEED + number, frames, HEIGHT, WIDTH))


def write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def write_frames(folder: Path, names: Sequence[str], drawn: Sequence[Scene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, scene in zip(names, drawn, strict=True):
        Image.fromarray(scene.image).save(folder / f"{name}.jpg", quality=95)


def labels(scene: Scene) -> NDArray[np.uint8]:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, mask in enumerate(scene.masks, start=1):
        drawn[mask] = number
    return drawn


def meta(videos: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]]) -> dict[str, Any]:
    return {
        "videos": {
            name: {"expressions": dict(expressions), "frames": list(frames)}
            for name, (frames, expressions) in videos.items()
        }
    }


def write_ref_ytvos(root: Path, *, split: str = "train") -> None:
    """Each thing has two expressions, "the red car" and "red car ", out of order. valid has a video of test."""
    videos, objects = {}, {}
    for number, (video, frames) in enumerate(VIDEOS.items()):
        drawn = scenes(number)
        write_frames(root / split / "JPEGImages" / video, frames, drawn)
        things = drawn[0].things
        said: dict[str, Any] = {}
        for i, thing in enumerate(things):
            owner = {"obj_id": str(i + 1)} if split == "train" else {}
            said[str(10 + i)] = {"exp": f"the {thing.name}", **owner}
            said[str(2 + i)] = {"exp": f"{thing.name} ", **owner}
        videos[video] = (frames, said)
        objects[video] = {"objects": {str(i + 1): {"category": one.shape} for i, one in enumerate(things)}}
        if split == "train":
            folder = root / "train" / "Annotations" / video
            folder.mkdir(parents=True)
            for frame, scene in zip(frames, drawn, strict=True):
                write_label_png(folder / f"{frame}.png", labels(scene))
    if split == "train":
        write_json(root / "train" / "meta.json", {"videos": objects})
    else:
        test = {"of-test": (("00000",), {"0": {"exp": "a car"}})}
        write_json(root / "meta_expressions" / "test" / "meta_expressions.json", meta(test))
        videos.update(test)
    write_json(root / "meta_expressions" / split / "meta_expressions.json", meta(videos))


def write_mevis(root: Path, *, split: str = "valid_u", v2: bool = False) -> None:
    """Expression 0 is of every thing, 1 and on of one each; v2 adds one without a target, "no". valid has no truth.

    An annotation is null where its thing is not to be seen, and in the second frame of a video's first thing.
    """
    videos, codes = {}, {}
    for number, (video, frames) in enumerate(VIDEOS.items()):
        drawn = scenes(number)
        write_frames(root / split / "JPEGImages" / video, frames, drawn)
        ids = [100 * number + i for i in range(len(drawn[0].things))]
        for i, anno in enumerate(ids):
            shown = [scene.masks[i].any() and not (i == 0 and t == 1) for t, scene in enumerate(drawn)]
            codes[str(anno)] = [
                encode_rle(scene.masks[i]) if seen else None for seen, scene in zip(shown, drawn, strict=True)
            ]
        said: dict[str, Any] = {
            "0": {"exp": "everything that moves", "obj_id": [*range(len(ids))], "anno_id": ids}
        }
        for i, anno in enumerate(ids):
            said[str(i + 1)] = {"exp": f"the {drawn[0].things[i].name}", "obj_id": [i], "anno_id": [anno]}
        if v2:
            said["9"] = {"exp": "a zebra", "obj_id": [], "anno_id": []}
        if split == "valid":
            said = {name: {"exp": one["exp"]} for name, one in said.items()}
        videos[video] = (frames, said)
    name = "meta_expressions_v2.json" if v2 else "meta_expressions.json"
    write_json(root / split / name, meta(videos))
    if split != "valid":
        write_json(root / split / "mask_dict.json", codes)


def write_masks(
    folder: Path, video: str, expression: str, masks: Mapping[str, NDArray[np.bool_]], *, white: int = 255
) -> None:
    """Predictions in mode L."""
    for frame, mask in masks.items():
        path = folder / video / expression / f"{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask.astype(np.uint8) * white).save(path)


ODD = (None, True, -1, 10**400, float("inf"), "", "x", "../x", "\0", [], [[]], [None], {}, {"a": 1})
"""What a file of another shape may hold in place of a value."""


def misshapen(values: Any) -> Iterator[Any]:
    """The document with each of its values replaced by each of `ODD`, one at a time."""
    yield from ODD
    places = (
        list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    )
    for place in places:
        for other in misshapen(values[place]):
            changed = values.copy()
            changed[place] = other
            yield changed
