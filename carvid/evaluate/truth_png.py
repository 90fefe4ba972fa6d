"""Label maps as data sets and others' predictions store them: PNGs of every kind that holds one number per pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import InputError

# What Pillow and the zlib below it raise on a damaged PNG.
_DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_MODES = ("P", "L", "1", "I", "I;16", "I;16B")
# Pillow stretches grey values of 2 and 4 bits to 0..255.
_STRETCHED = {"L;2": 85, "L;4": 17}


def read_labels(path: Path) -> NDArray[np.int32]:
    """The (H, W) int32 labels of a palette PNG (its indices) or a grey one of 1 to 16 bits (its values as stored).

    Raises InputError that names the file.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            _check_mode(image, path)
            stretched = _STRETCHED.get(str(image.tile[0][3]), 1)
            labels = np.asarray(image).astype(np.int32)
    except _DAMAGED as error:
        raise InputError(_unreadable(path, error)) from error
    return labels // stretched


def png_problem(path: Path, size: tuple[int, int], like: str) -> str | None:
    """What is wrong with a label PNG, as far as can be told without decoding it: one sentence, or None.

    size: (H, W) it must have in px. like: what else has that size, such as "its frame". Tells a file that is cut short.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            _check_mode(image, path)
            width, height = image.size
            image.verify()
    except FileNotFoundError:
        return f"no file {path}"
    except InputError as error:
        return str(error)
    except _DAMAGED as error:
        return _unreadable(path, error)
    if (height, width) != size:
        return f"{path} is {width}x{height} px; expected {size[1]}x{size[0]}, as {like} is"
    return None


def _check_mode(image: Image.Image, path: Path) -> None:
    if image.mode not in _MODES:
        raise InputError(
            f"{path} is a PNG of mode {image.mode}; expected labels: a palette PNG or a grey one without alpha"
        )


def _unreadable(path: Path, error: BaseException) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return f"{path} is not a readable PNG ({reason})"
