"""An image that somebody else chose, decoded: only the formats named here, and no more pixels than fit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from carvid.errors import InputError
from carvid.stream.image_file import UNREADABLE, to_rgb

MOST_PX = 50_000_000
"""A file of some kB may claim any number of pixels, and each takes memory."""

#: The formats by their media types, with Pillow's names. Others, such as EPS, start programs of their own.
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jp2": "JPEG2000",
    "image/tiff": "TIFF",
    "image/x-portable-anymap": "PPM",
}


def decode_image(data: bytes, what: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, turned as its EXIF says; of an animation the first picture. what: how a message calls it.

    Raises InputError for what is no image of `FORMATS`, is damaged, or has more than `MOST_PX` pixels.
    """
    return _decoded(io.BytesIO(data), what)


def read_sent_image(path: Path, what: str) -> NDArray[np.uint8]:
    """As `decode_image`, from a file."""
    try:
        with path.open("rb") as file:
            return _decoded(file, what)
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror or error}") from error


def _decoded(file: BinaryIO, what: str) -> NDArray[np.uint8]:
    Image.init()
    known = [name for name in FORMATS.values() if name in Image.OPEN]
    try:
        with Image.open(file, formats=known) as stored:
            width, height = stored.size
            if width * height > MOST_PX:
                raise InputError(f"{what} is {width}x{height} px; at most {MOST_PX} pixels are taken")
            return to_rgb(stored)
    except Image.DecompressionBombError as error:
        raise InputError(f"{what} is far too large; at most {MOST_PX} pixels are taken") from error
    except UnidentifiedImageError as error:
        expected = ", ".join(known)
        raise InputError(f"{what} cannot be read as an image of any known format ({expected})") from error
    except UNREADABLE as error:
        raise InputError(f"{what} cannot be read as an image: {error}") from error
