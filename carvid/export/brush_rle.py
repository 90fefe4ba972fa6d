"""Label Studio's brush masks: the run-length code of @thi.ng/rle-pack over RGBA pixels.

Bits, highest first: 32 for the count of words, 5 for the word size less 1, four times 4 for the run sizes
less 1; then blocks of one bit (1: a run of one word), 2 bits that choose the run size, the run's length less
1 in that size, and the word. Words are bytes; a pixel is four of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WORD_BITS = 8
_RUN_BITS = (3, 4, 8, 16)


def encode_brush_rle(mask: NDArray[np.bool_]) -> list[int]:
    """An (H, W) bool mask as the bytes, in [0, 255], of Label Studio's brush code: 255 inside, 0 outside."""
    flat = mask.reshape(-1)
    bits = [f"{4 * flat.size:032b}{_WORD_BITS - 1:05b}", *(f"{size - 1:04b}" for size in _RUN_BITS)]
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    lengths = np.diff(starts, append=flat.size)
    for value, length in zip(flat[starts].tolist(), lengths.tolist(), strict=True):
        word = "1" * _WORD_BITS if value else "0" * _WORD_BITS
        left = 4 * length
        while left:
            run = min(left, 1 << _RUN_BITS[-1])
            choice = next(i for i, size in enumerate(_RUN_BITS) if run <= 1 << size)
            bits.append(f"1{choice:02b}{run - 1:0{_RUN_BITS[choice]}b}{word}")
            left -= run
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    return list(int(joined, 2).to_bytes(len(joined) // 8, "big"))
