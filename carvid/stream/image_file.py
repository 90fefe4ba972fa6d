"""One image file as an upright RGB array."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

IMAGE_SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises for files that are damaged or no images."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, EXIF rotation applied, contiguous and writable. Raises one of UNREADABLE.

    Grey is repeated, palettes are looked up, 16-bit samples are scaled to 8, alpha is left out (as in video);
    of an animation the first picture is taken. Floating-point samples have no agreed range: ValueError.
    """
    with Image.open(path) as stored:
        image = ImageOps.exif_transpose(stored)
        if image.mode == "F":
            raise ValueError("its samples are 32-bit floating point; expected 8 or 16 bits")
        if image.mode.startswith("I"):
            return _from_deep_grey(np.asarray(image))
        return np.array(image.convert("RGB"))


def _from_deep_grey(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """(H, W) integer samples of 16 bits -> (H, W, 3) uint8; 65535 becomes 255."""
    wide = samples.astype(np.int64)
    low, high = int(wide.min()), int(wide.max())
    if low < 0 or high > 65535:
        raise ValueError(f"its samples go from {low} to {high}; expected 8 or 16 bits")
    grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
