"""COCO's instances.json, as the referring benchmarks take it: images and the outlines of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from carvid.data_files import read_json
from carvid.errors import InputError
from carvid.evaluate.stored_size import stored_size
from carvid.media.rle import decode_rle
from carvid.paths import is_dir

IMAGE_FOLDERS = ("train2014", "images/train2014", "images/mscoco/images/train2014")


@dataclass(frozen=True)
class Instances:
    """images: by id, the file's name and (H, W). outlines: by the annotation's id, its `segmentation`.

    image_of: by the annotation's id, the id of its image. Ids are text, as files have them as numbers and as text.
    """

    images: Mapping[str, tuple[str, tuple[int, int]]]
    outlines: Mapping[str, Any]
    image_of: Mapping[str, str]

    def image(self, name: str, folder: Path) -> tuple[Path, tuple[int, int]]:
        """Where an image lies, and its (H, W). Raises InputError where it is not there or of another size."""
        if name not in self.images:
            raise InputError(f"image {name} is not in instances.json")
        file, size = self.images[name]
        if (stored := stored_size(folder / file)) != size:
            raise InputError(
                f"{folder / file} is {stored[1]}x{stored[0]} px; expected {size[1]}x{size[0]}, as in instances.json"
            )
        return folder / file, size

    def mask(self, annotations: Iterable[str], size: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool: the union of the objects. Raises InputError for an outline that is none."""
        union = np.zeros(size, bool)
        for one in annotations:
            try:
                union |= _mask(self.outlines[one], size)
            except InputError:
                raise
            # pycocotools raises what it comes upon.
            except Exception as error:
                raise InputError(f"annotation {one} has no outline that can be drawn ({error})") from error
        return union


def read_instances(path: Path) -> Instances:
    """Raises InputError for a file that is missing, no JSON, or of another shape."""
    values = read_json(path)
    try:
        images = {
            str(one["id"]): (str(one["file_name"]), (int(one["height"]), int(one["width"])))
            for one in values["images"]
        }
        outlines = {str(one["id"]): one["segmentation"] for one in values["annotations"]}
        image_of = {str(one["id"]): str(one["image_id"]) for one in values["annotations"]}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is no COCO instances.json ({type(error).__name__}: {error})") from error
    return Instances(images, outlines, image_of)


def image_folder(root: Path) -> Path:
    """The folder of COCO's train2014 below ROOT. Raises InputError."""
    for part in IMAGE_FOLDERS:
        if is_dir(root / part, InputError):
            return root / part
    raise InputError("no folder " + ", nor ".join(str(root / part) for part in IMAGE_FOLDERS))


def _mask(outline: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = size
    if isinstance(outline, Sequence):
        if any(len(part) < 6 or len(part) % 2 for part in outline):
            raise InputError("an outline has fewer than three points")
        codes = coco.frPyObjects([list(map(float, part)) for part in outline], height, width)
        return np.asarray(coco.decode(coco.merge(codes)), bool) if codes else np.zeros(size, bool)
    if tuple(outline["size"]) != size:
        raise InputError(f"a run-length code of size {outline['size']} for an image of {list(size)}")
    counts = outline["counts"]
    if isinstance(counts, list):
        runs = np.asarray(counts, np.int64)
        if runs.min(initial=0) < 0 or runs.sum() != height * width:
            raise InputError(f"a run-length code of {runs.sum()} pixels for an image of {list(size)}")
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
    return decode_rle({"size": [height, width], "counts": str(counts)})
