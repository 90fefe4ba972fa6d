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

# EXIF's tag, and its values for pictures that have to be turned by a quarter.
_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)

# MaxSampleValue (TIFF 6.0, section 8).
_TIFF_MAX_SAMPLE = 281
_WHITE = 65535

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


def read_image(path: Path, *, upright: bool = True) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, contiguous and writable. Raises one of UNREADABLE.

    upright: whether to turn it as its EXIF says. Of an animation the first picture is taken; for the rest see `to_rgb`.
    """
    with Image.open(path) as stored:
        return to_rgb(stored, upright=upright)


def image_size(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """(H, W) in px of what `read_image` would give, from the file's header alone. Raises one of UNREADABLE."""
    with Image.open(path) as stored:
        width, height = stored.size
        lies = upright and stored.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
    return (width, height) if lies else (height, width)


def to_rgb(stored: Image.Image, *, upright: bool = True) -> NDArray[np.uint8]:
    """The picture an opened image stands at, as `read_image` gives it.

    Grey is repeated, palettes are looked up, alpha is left out (as in video). 16-bit samples are scaled to 8: 65535
    becomes 255, or the greatest value a TIFF states, as for 12 bits stored in 16. Floating-point samples have no
    agreed range: ValueError.
    """
    image = ImageOps.exif_transpose(stored) if upright else stored
    if image.mode == "F":
        raise ValueError("its samples are 32-bit floating point; expected 8 or 16 bits")
    if image.mode.startswith("I"):
        stated = getattr(stored, "tag_v2", {}).get(_TIFF_MAX_SAMPLE, _WHITE)
        return _from_deep_grey(np.asarray(image), int(stated[0] if isinstance(stated, tuple) else stated))
    return np.array(image.convert("RGB"))


def _from_deep_grey(samples: NDArray[np.generic], white: int) -> NDArray[np.uint8]:
    """(H, W) integer samples of 16 bits -> (H, W, 3) uint8; `white` and above become 255."""
    wide = samples.astype(np.int64)
    low, high = int(wide.min()), int(wide.max())
    if low < 0 or high > _WHITE:
        raise ValueError(f"its samples go from {low} to {high}; expected 8 or 16 bits")
    white = white if 0 < white < _WHITE else _WHITE
    grey = ((wide.clip(max=white) * 255 + white // 2) // white).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
