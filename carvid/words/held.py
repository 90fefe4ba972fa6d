"""A frame's result that waits for a choice, in little memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from carvid.media.rle import Rle, decode_rle, encode_rle
from carvid.result import FrameResult

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Held:
    """A frame whose result waits for the choice.

    bare: the engine's result without its arrays. labels: of its label map, by label. masks: one for each text that was
    asked. things: the tracks' (id, place of what was asked), with a mask each in `of_things`.
    """

    bare: FrameResult
    labels: Mapping[int, Rle]
    masks: tuple[Rle, ...]
    things: tuple[tuple[int, int], ...]
    of_things: tuple[Rle, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in px."""
        height, width = self.bare.label_map.shape
        return height, width

    def label_map(self) -> NDArray[np.uint8]:
        """(H, W) uint8."""
        found = np.zeros(self.size, np.uint8)
        for label, code in self.labels.items():
            found[decode_rle(code)] = label
        return found

    def decoded(self, codes: Sequence[Rle]) -> Bools:
        """(N, H, W) bool."""
        found = np.zeros((len(codes), *self.size), np.bool_)
        for mask, code in zip(found, codes, strict=True):
            mask[:] = decode_rle(code)
        return found


def hold(whole: FrameResult, masks: Mapping[int, Bools], heads: Mapping[int, int]) -> Held:
    """whole: the engine's result. masks: the tracks' by id. heads: for each the place of what was asked."""
    evidence = whole.evidence
    if evidence is not None:
        # What they read may lie on the device.
        evidence = replace(evidence, read_proposals=None, read_segments=None)
    labels = whole.label_map
    return Held(
        bare=replace(
            whole,
            label_map=np.broadcast_to(np.uint8(0), labels.shape),
            objects=(),
            evidence=evidence,
            verdicts=whole.queries,
        ),
        labels={int(label): encode_rle(labels == label) for label in np.unique(labels) if label},
        masks=tuple(one.rle for one in whole.objects),
        things=tuple((thing, heads[thing]) for thing in masks),
        of_things=tuple(encode_rle(mask) for mask in masks.values()),
    )
