"""Labels from the PNG files of data sets, whatever their mode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import InputError

_MODES = ("1", "L", "P", "I", "I;16", "I;16B")


def read_labels(path: Path) -> NDArray[np.int32]:
    """(H, W) int32: the values of a palette, grey (1, 8 or 16 bits) PNG; palette indices, not colours.

    Raises InputError for a file that is missing, damaged, or in colour.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            mode = image.mode
            if mode in _MODES:
                return np.asarray(image).astype(np.int32)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} is no readable PNG ({error})") from error
    raise InputError(f"{path} is a PNG of mode {mode}; expected a palette or grey one")
