"""Whether a line of results.jsonl agrees with itself and with its frame's mask files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import InputError
from carvid.media.rle import bounding_box_xywh
from carvid.sinks.mask_files import separate_label

Bools = NDArray[np.bool_]


def line_faults(line: Mapping[str, Any], queries: Sequence[str]) -> Iterator[str]:
    """Where a line, with its masks decoded, disagrees with itself or with the run's queries."""
    where = f"frame {line['index']}"
    if [one["query"] for one in line["queries"]] != list(queries):
        yield f"{where} has other queries than run.json"
    sizes = {one["mask"].shape for one in (*line["queries"], *line.get("objects", ()))}
    if len(sizes) > 1:
        yield f"{where} has masks of several sizes"
        return
    for i, one in enumerate(line["queries"]):
        yield from _mask_faults(one, f"{where}, query {i + 1}")
    if "objects" not in line:
        return
    for one in line["objects"]:
        yield from _mask_faults(one, f"{where}, object {one['id']}")
    for i, one in enumerate(line["queries"]):
        own = [thing["mask"] for thing in line["objects"] if thing["query"] == one["query"]]
        if not np.array_equal(one["mask"], np.any([np.zeros_like(one["mask"]), *own], axis=0)):
            yield f"{where}, query {i + 1} is not the union of its objects"


def _mask_faults(one: Mapping[str, Any], where: str) -> Iterator[str]:
    area_px, box = int(np.count_nonzero(one["mask"])), bounding_box_xywh(one["mask"])
    if one["area_px"] != area_px:
        yield f"{where} has an area of {one['area_px']} px, its mask {area_px}"
    if one["box_xywh"] != box:
        yield f"{where} has the box {one['box_xywh']}, its mask {box}"


def masks_by_id(line: Mapping[str, Any]) -> dict[int, Bools]:
    """The masks that a line's files show, (H, W) each, by their objects' ids."""
    if "objects" in line:
        return {one["id"]: one["mask"] for one in line["objects"]}
    return {i: one["mask"] for i, one in enumerate(line["queries"], 1)}


def file_names(line: Mapping[str, Any], *, separate: bool) -> dict[str, int | None]:
    """The frame's mask files, by their paths below the folder of masks; each with its object's id, None for a label
    map."""
    if not separate:
        return {f"{line['name']}.png": None}
    return {f"{number}/{line['name']}.png": number for number in masks_by_id(line)}


def file_faults(line: Mapping[str, Any], folder: Path, *, separate: bool) -> Iterator[str]:
    """Where the frame's mask files are missing, or disagree with the line: with their hashes, sizes or labels."""
    hashes, masks = line.get("masks"), masks_by_id(line)
    names = file_names(line, separate=separate)
    if hashes is not None and set(hashes) != set(names):
        yield f"frame {line['index']} names the files {sorted(hashes)}, expected {sorted(names)}"
        return
    for name, number in names.items():
        path = folder / name
        try:
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            yield f"{path} cannot be read ({reason})"
            continue
        if hashes is not None and hashlib.sha256(data).hexdigest() != hashes[name]:
            yield f"{path} has not the recorded SHA-256"
        try:
            labels = read_labels(data)
        except InputError as error:
            yield f"{path} {error}"
            continue
        shape = line["queries"][0]["mask"].shape
        if labels.shape != shape:
            yield f"{path} has {labels.shape[1]}x{labels.shape[0]} px, its line {shape[1]}x{shape[0]}"
        elif number is not None:
            wrong = int(np.count_nonzero(labels != masks[number] * separate_label(number)))
            if wrong:
                yield f"{path} differs from its line in {wrong} px"
        else:
            wrong = _label_faults(labels, masks, whole=_is_covered(line))
            if wrong:
                yield f"{path} has {wrong} px with a label that its line does not give them"


def read_labels(data: bytes) -> NDArray[np.uint8]:
    """(H, W) uint8, the labels of a PNG. Raises InputError, whose message goes on from the file's name."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.mode != "P":
                raise InputError(f"has the mode {image.mode}, not that of a palette image")
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("is not an image that can be read") from error


def _is_covered(line: Mapping[str, Any]) -> bool:
    """Whether the label map has a label wherever some mask is: of tracks, and where words chose, it may lack specks."""
    return "objects" not in line and not any("words" in one for one in line["queries"])


def _label_faults(labels: NDArray[np.uint8], masks: Mapping[int, Bools], *, whole: bool) -> int:
    """How many pixels have a label whose object's mask does not hold them or, if `whole`, lack one."""
    wrong: Bools = labels > 0
    for number, mask in masks.items():
        wrong &= ~((labels == number) & mask)
    if whole and masks:
        wrong |= (labels == 0) & np.any(list(masks.values()), axis=0)
    return int(np.count_nonzero(wrong))
