"""A connected part of a query's mask, cut into things: along given segments, where these move apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from carvid.motion.flow import Flow
from carvid.motion.things import gap_from

Bools = NDArray[np.bool_]

# A segment is a piece with this share of its part: less is a detail, more is the part itself.
_LEAST, _MOST = 0.15, 0.8
# Two pieces share at most this much of the smaller; all of them cover this much of the part.
_OVERLAP, _COVER = 0.1, 0.8
# Pieces move apart if their flows differ by so many px a frame, where the flow has this confidence.
_APART_PX, _SURE = 1.5, 0.5


def pieces(part: Bools, segments: Sequence[Bools] | Bools, back: Flow) -> list[Bools]:
    """The pieces of a part (H, W) bool that move apart, disjoint and together the part, largest first; else the part.

    segments: (M, H, W) bool, any, nested ones too. back: the flow to the frame before.
    """
    area = int(np.count_nonzero(part))
    inside = [segment & part for segment in segments]
    inside = [one for one in inside if _LEAST * area <= np.count_nonzero(one) <= _MOST * area]
    inside.sort(key=np.count_nonzero, reverse=True)
    chosen: list[Bools] = []
    for one in inside:
        most = _OVERLAP * np.count_nonzero(one)
        if all(np.count_nonzero(one & other) <= most for other in chosen):
            chosen.append(one)
    if len(chosen) < 2 or np.count_nonzero(np.any(chosen, axis=0)) < _COVER * area:
        return [part]
    groups: list[tuple[NDArray[np.float64], list[Bools]]] = []
    for one in chosen:
        step = step_of(one, back)
        if step is None:
            return [part]
        for other, members in groups:
            if np.hypot(*(step - other)) < _APART_PX:
                members.append(one)
                break
        else:
            groups.append((step, [one]))
    if len(groups) < 2:
        return [part]
    gaps = np.stack([gap_from(np.any(members, axis=0)) for _, members in groups])
    nearest = gaps.argmin(0)
    found = [part & (nearest == i) for i in range(len(groups))]
    return sorted(found, key=np.count_nonzero, reverse=True)


def step_of(mask: Bools, back: Flow) -> NDArray[np.float64] | None:
    """(2,) float64 (x, y) px: how a mask (H, W) bool has moved since the frame before; None where flow is unsure."""
    sure = mask & (back.confidence > _SURE)
    if 2 * np.count_nonzero(sure) < np.count_nonzero(mask):
        return None
    step: NDArray[np.float64] = -np.median(back.offsets[sure], axis=0).astype(np.float64)
    return step
