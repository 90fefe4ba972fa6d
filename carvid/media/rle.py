"""Masks as run-length codes in COCO's compressed form."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from carvid.errors import InputError

_MOST_PX = 2**31
"""No picture has more; a damaged size must not ask for more memory than there is."""

# The groups of five bits that a run of so many pixels takes, with its sign.
_MOST_GROUPS = 7


class Rle(TypedDict):
    """A COCO compressed run-length code: `size` is [H, W], `counts` ASCII; runs go down the columns."""

    size: list[int]
    counts: str


def encode_rle(mask: NDArray[np.bool_]) -> Rle:
    """Encode an (H, W) bool mask."""
    code = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def decode_rle(code: Rle) -> NDArray[np.bool_]:
    """Decode to an (H, W) bool mask.

    Raises:
        InputError: if the code is damaged; pycocotools would read or write outside its arrays.
    """
    height, width = code["size"]
    runs = checked_runs(code)
    # Runs alternate, starting with background, and go down the columns.
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def checked_runs(code: Rle) -> list[int]:
    """The lengths of a code's runs in px, the first of background. Raises InputError as `decode_rle` does."""
    height, width = code["size"]
    whole = isinstance(height, int) and isinstance(width, int) and min(height, width) > 0
    if not whole or height * width > _MOST_PX:
        raise InputError(f"run-length code for a mask of {height}x{width}")
    runs = _runs(code["counts"])
    if sum(runs) != height * width:
        raise InputError(f"run-length code of {sum(runs)} pixels for a mask of {height}x{width}")
    return runs


def bounding_box_xywh(mask: NDArray[np.bool_]) -> list[int] | None:
    """[x, y, width, height] in px of an (H, W) mask, x and y from the top left corner; None if empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]


def box_of_rle(code: Rle) -> tuple[list[int] | None, int]:
    """`bounding_box_xywh` and the number of pixels of the mask that a sound code holds."""
    coded = {"size": code["size"], "counts": code["counts"].encode("ascii")}
    area_px = int(coco.area(coded))
    return ([int(side) for side in coco.toBbox(coded)] if area_px else None), area_px


def iou_of_rles(first: Rle, second: Rle) -> float:
    """IoU of two masks of one size, from their sound codes, without decoding them; 1 if both are empty."""
    codes = [{"size": code["size"], "counts": code["counts"].encode("ascii")} for code in (first, second)]
    if not any(coco.area(code) for code in codes):
        return 1.0
    return float(coco.iou(codes[:1], codes[1:], [0])[0, 0])


def _runs(counts: str) -> list[int]:
    """The run lengths. Each is coded in groups of 5 bits, lowest first; from the fourth on, less the run two before.

    A group is a character from "0" on; its bit 5 says that another follows, and bit 4 of the last is the sign.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        group = ord(character) - ord("0")
        if not 0 <= group < 64:
            raise InputError(f"run-length code with the character {character!r}")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            if shift == 5 * _MOST_GROUPS:
                raise InputError("run-length code with a run longer than any picture")
            continue
        if group & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        if runs[-1] < 0:
            raise InputError(f"run-length code with a run of {runs[-1]} pixels")
        value = shift = 0
    if shift:
        raise InputError("run-length code that ends within a run")
    return runs
