"""Short readers of the exported formats, written from their specifications, to compare pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def read_cvat_rle(runs: list[int], height: int, width: int) -> Mask:
    """Run lengths row by row, background first."""
    flat = [place % 2 == 1 for place, run in enumerate(runs) for _ in range(run)]
    return np.array(flat, np.bool_).reshape(height, width)


def read_brush_rle(code: list[int], height: int, width: int) -> Mask:
    """@thi.ng/rle-pack's decoder, as its documentation has it; the mask is the alpha channel."""
    bits = "".join(f"{byte:08b}" for byte in code)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    words = take(32)
    word_bits = take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < words:
        is_run = take(1)
        count = take(sizes[take(2)]) + 1
        out += [take(word_bits)] * count if is_run else [take(word_bits) for _ in range(count)]
    return np.array(out, np.uint8).reshape(height, width, 4)[..., 3] > 0


def read_cvat_video(path: Path) -> Iterator[tuple[int, str, Mask]]:
    """Frame, label and mask of each track's first shape, which is all that CVAT keeps of a track of masks."""
    root = _cvat_root(path, "interpolation")
    height, width = (
        int(root.findtext(f"meta/task/original_size/{side}") or 0) for side in ("height", "width")
    )
    for track in root.iter("track"):
        shapes = track.findall("mask")
        first = shapes[0]
        assert first.get("outside") == "0"
        assert [shape.get("outside") for shape in shapes[1:]] in ([], ["1"])
        yield int(first.get("frame") or 0), track.get("label") or "", _cvat_mask(first, height, width)


def read_cvat_images(path: Path) -> Iterator[tuple[str, str, Mask]]:
    """Name without suffix, label and mask of each shape, as CVAT finds the image by its name."""
    for image in _cvat_root(path, "annotation").iter("image"):
        height, width = (int(image.get(side) or 0) for side in ("height", "width"))
        for shape in image.findall("mask"):
            name, _, _ = (image.get("name") or "").rpartition(".")
            yield name, shape.get("label") or "", _cvat_mask(shape, height, width)


def _cvat_root(path: Path, mode: str) -> ElementTree.Element:
    root = ElementTree.parse(path).getroot()
    assert (root.findtext("version"), root.findtext("meta/task/mode")) == ("1.1", mode)
    return root


def _cvat_mask(shape: ElementTree.Element, height: int, width: int) -> Mask:
    x, y, w, h = (int(shape.get(name) or 0) for name in ("left", "top", "width", "height"))
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + h, x : x + w] = read_cvat_rle(
        [int(run) for run in (shape.get("rle") or "").split(",")], h, w
    )
    return mask


def read_yolo_labels(path: Path, height: int, width: int) -> Iterator[tuple[int, Mask]]:
    """Class and mask of each line: coordinates cut to whole pixels, polygons filled, as Ultralytics does."""
    for line in path.read_text().splitlines():
        number, *shares = line.split()
        assert len(shares) >= 6
        points = np.array(shares, float).reshape(-1, 2) * (width, height)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [points.astype(np.int32)], (1,))
        yield int(number), mask > 0
