"""A frame's result that waits for a choice, in little memory."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.result import FrameResult

Bools = NDArray[np.bool_]


class Packed:
    """An array, in little memory."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._shape, self._dtype = values.shape, values.dtype
        flat = np.packbits(values) if values.dtype == np.bool_ else values
        self._bytes = zlib.compress(np.ascontiguousarray(flat).tobytes(), 1)

    @property
    def values(self) -> NDArray[Any]:
        """The array again, a new one each time."""
        flat = np.frombuffer(zlib.decompress(self._bytes), np.uint8)
        if self._dtype == np.bool_:
            count = int(np.prod(self._shape))
            return np.unpackbits(flat, count=count).view(np.bool_).reshape(self._shape)
        return flat.view(self._dtype).reshape(self._shape)


@dataclass(frozen=True, eq=False)
class Held:
    """A frame whose result waits for the choice.

    bare: the engine's result without its arrays. labels, masks: its label map and (A, H, W) masks, of what was asked.
    things: the tracks' (id, place of what was asked), with `of_things`, (K, H, W) bool.
    """

    bare: FrameResult
    labels: Packed
    masks: Packed
    things: tuple[tuple[int, int], ...]
    of_things: Packed


def hold(whole: FrameResult, masks: Mapping[int, Bools], heads: Mapping[int, int]) -> Held:
    """whole: the engine's result. masks: the tracks' by id. heads: for each the place of what was asked."""
    height, width = whole.label_map.shape
    evidence = whole.evidence
    if evidence is not None:
        # What they read may lie on the device.
        evidence = replace(evidence, read_proposals=None, read_segments=None)
    bare = replace(
        whole,
        label_map=np.broadcast_to(np.uint8(0), (height, width)),
        objects=(),
        evidence=evidence,
        verdicts=whole.queries,
    )
    return Held(
        bare,
        Packed(whole.label_map),
        Packed(whole.masks),
        tuple((thing, heads[thing]) for thing in masks),
        Packed(np.stack([*masks.values()]) if masks else np.zeros((0, height, width), np.bool_)),
    )
