"""Tiny trees in the layouts of image benchmarks, drawn from scenes of the shapes model."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from carvid.media.rle import encode_rle
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


def write_refcoco(root: Path, name: str = "refcoco", splitter: str = "unc", images: int = 2) -> None:
    """<name>/ and train2014/. Image i is "val" for even i, "testA" for odd i; each thing of it is a referent.

    ann_id is 10 * image + place, ref_id 100 more, and its two sentences have the ids 10 * ref_id and 10 * ref_id + 1.
    Outlines are uncompressed and compressed run-length codes in turn.
    """
    refs = []
    pictures, annotations = _instances(root, images)
    for i in range(images):
        for place, thing in enumerate(scene(i).things):
            annotation = 10 * i + place
            ref = 100 + annotation
            texts = (f"the {thing.name}", f"{thing.colour} {thing.shape}")
            refs.append(
                {
                    "ref_id": ref,
                    "ann_id": annotation,
                    "category_id": 1,
                    "image_id": i,
                    # Published names carry the annotation's id, and are of no use.
                    "file_name": f"wrong_{i}_{annotation}.jpg",
                    "split": ("val", "testA")[i % 2],
                    "sentences": [
                        {"sent_id": 10 * ref + number, "sent": text, "raw": text, "tokens": text.split()}
                        for number, text in enumerate(texts)
                    ],
                }
            )
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"refs({splitter}).p").write_bytes(pickle.dumps(refs, 2))
    (folder / "instances.json").write_text(json.dumps({"images": pictures, "annotations": annotations}))


def _instances(root: Path, images: int) -> tuple[list[dict], list[dict]]:
    pictures, annotations = [], []
    for i in range(images):
        drawn = scene(i)
        file = f"COCO_train2014_{i:012}.jpg"
        write_image(root / "train2014" / file, drawn)
        pictures.append({"id": i, "file_name": file, "height": SIZE[0], "width": SIZE[1]})
        for place, mask in enumerate(drawn.masks):
            code = dict(encode_rle(mask)) if place % 2 else {"size": list(SIZE), "counts": _runs(mask)}
            annotations.append({"id": 10 * i + place, "image_id": i, "segmentation": code})
    return pictures, annotations


def _runs(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[False], mask.T.ravel()])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], ends, [mask.size]])).tolist()


def write_grefcoco(root: Path, images: int = 1) -> None:
    """grefcoco/ and train2014/. Image i has three expressions: sent_id 10 * i for all its things, 10 * i + 1 for the
    first alone (`ann_id` a number), and 10 * i + 2 for a thing that is not there."""
    pictures, annotations = _instances(root, images)
    refs = []
    for i in range(images):
        things = scene(i).things
        asked = (
            (" and ".join(thing.name for thing in things), [10 * i + place for place in range(len(things))]),
            (things[0].name, 10 * i),
            ("white fish", [-1]),
        )
        for number, (text, targets) in enumerate(asked):
            sentence = {"sent_id": 10 * i + number, "sent": text, "raw": text}
            refs.append(
                {
                    "ref_id": number,
                    "ann_id": targets,
                    "category_id": [-1] if targets == [-1] else 1,
                    "image_id": i,
                    "split": "val",
                    "sentences": [sentence],
                }
            )
    folder = root / "grefcoco"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grefs(unc).json").write_text(json.dumps(refs))
    (folder / "instances.json").write_text(json.dumps({"images": pictures, "annotations": annotations}))
