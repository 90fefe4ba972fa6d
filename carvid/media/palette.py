"""Label maps as 8-bit palette PNG files, as in DAVIS and PASCAL VOC."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from carvid.errors import InputError, UsageError
from carvid.media.whole_file import write_whole

MAX_LABELS = 255
"""How many labels an 8-bit label map can hold besides the background."""


@cache
def voc_palette() -> NDArray[np.uint8]:
    """The PASCAL VOC colour map, which is also the DAVIS palette.

    Bits 0, 1 and 2 of a label give the highest bit of red, green and blue, bits 3, 4 and 5 the next lower
    one, and so on (VOCdevkit's `VOClabelcolormap`).

    Returns:
        (256, 3) uint8 RGB in [0, 255], read-only: (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), ...
    """
    labels = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for channel in range(3):
        for level in range(3):
            bit = labels >> (3 * level + channel) & 1
            colours[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def encode_label_png(label_map: NDArray[np.uint8]) -> bytes:
    """A label map as the bytes of an 8-bit palette PNG.

    Args:
        label_map: (H, W) uint8 labels in [0, 255], H and W at least 1.

    Raises:
        UsageError: if the array has another shape or type.
    """
    if label_map.ndim != 2 or label_map.dtype != np.uint8 or 0 in label_map.shape:
        raise UsageError(
            f"a label map is a non-empty (H, W) array of uint8, not {label_map.shape} of {label_map.dtype}"
        )
    image = Image.fromarray(np.ascontiguousarray(label_map), mode="L")
    # putpalette makes it mode "P". All 256 entries are given, as Pillow packs shorter palettes into fewer bits.
    image.putpalette(voc_palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_label_png(path: Path, label_map: NDArray[np.uint8]) -> None:
    """Write a label map as an 8-bit palette PNG in the DAVIS palette, whole or not at all.

    Args:
        path: the file, replaced if it exists.
        label_map: (H, W) uint8 labels in [0, 255].

    Raises:
        UsageError: if the array has another shape or type.
        OutputError: if the file cannot be written.
    """
    write_whole(path, encode_label_png(label_map))


def read_label_png(path: Path) -> NDArray[np.uint8]:
    """Read the labels of a palette (or 8-bit grey) PNG.

    Returns:
        (H, W) uint8 labels in [0, 255].

    Raises:
        InputError: if the file is missing, is no image, or has no labels (colour channels instead).
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                raise InputError(
                    f"{path} has mode {image.mode}; a label map is a palette or 8-bit grey image"
                )
            return np.array(image, np.uint8)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
