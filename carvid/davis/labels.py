"""Decodes a label map from a PNG: palette indices, grey values, or colours of the DAVIS palette."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import InputError
from carvid.media.palette import voc_palette

VOID = 255
"""The label of pixels that an annotation leaves undecided."""


def decode_label_map(data: bytes, name: str) -> NDArray[np.uint8]:
    """The (H, W) uint8 label map in a PNG's bytes.

    A palette PNG gives its indices whatever its palette, a grey one of at most 8 bits its values. An RGB one
    is read when all its colours are in the DAVIS palette, each as its index there. Anything else raises
    an InputError that calls the file `name`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            mode = image.mode
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: not a readable PNG ({error})") from error
    if mode in ("P", "L", "1"):
        return pixels.astype(np.uint8, copy=False)
    if mode != "RGB":
        raise InputError(f"{name}: a PNG of mode {mode}; a label map is a palette or 8-bit grey PNG")
    return _from_palette_colours(pixels, name)


def _from_palette_colours(pixels: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    known, labels = _palette_codes()
    codes = _code(pixels)
    place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    strange = known[place] != codes
    if strange.any():
        red, green, blue = pixels[strange][0].tolist()
        raise InputError(
            f"{name}: an RGB PNG with {int(strange.sum())} pixels whose colour is not in the DAVIS palette, "
            f"the first ({red}, {green}, {blue}); a label map is a palette or grey PNG"
        )
    return labels[place]


def _code(colours: NDArray[np.uint8]) -> NDArray[np.uint32]:
    wide = colours.astype(np.uint32)
    codes: NDArray[np.uint32] = (
        (wide[..., 0] << np.uint32(16)) | (wide[..., 1] << np.uint32(8)) | wide[..., 2]
    )
    return codes


@lru_cache(maxsize=1)
def _palette_codes() -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """The palette's colours as ascending integers, and the label of each."""
    codes = _code(voc_palette())
    order = np.argsort(codes)
    return codes[order], order.astype(np.uint8)
