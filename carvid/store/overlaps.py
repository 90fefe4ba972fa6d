"""Which object a pixel goes to where masks overlap and some of them were corrected by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Claim:
    """What one object of a frame lays claim to.

    mask: (H, W) bool, all of it. part: (H, W) bool, what of it the model gave this object; of all objects of
        a frame, these do not overlap. score: the model's, in [0, 1].
    corrected: when it was corrected by hand, as text that sorts by time; None if it was not: then score and
        part count.
    """

    mask: NDArray[np.bool_]
    part: NDArray[np.bool_]
    score: float
    corrected: str | None


def settle(claims: Sequence[Claim]) -> list[NDArray[np.bool_]]:
    """The part of each mask that is its object's alone, (H, W) bool, in the claims' order.

    A pixel goes to the latest correction that holds it; otherwise to whom the model gave it; and where that
    object was corrected and gave it up, to the highest score that holds it. Of equals the first has it.
    """
    free = np.ones(claims[0].mask.shape, np.bool_)
    parts = [np.zeros_like(free) for _ in claims]

    def take(i: int, wanted: NDArray[np.bool_]) -> None:
        parts[i] |= wanted & free
        free[wanted] = False

    # Sorting is stable, in reverse too.
    corrected = [i for i, claim in enumerate(claims) if claim.corrected is not None]
    for i in sorted(corrected, key=lambda i: claims[i].corrected or "", reverse=True):
        take(i, claims[i].mask)
    rest = [i for i in range(len(claims)) if i not in corrected]
    for i in rest:
        take(i, claims[i].part)
    for i in sorted(rest, key=lambda i: claims[i].score, reverse=True):
        take(i, claims[i].mask)
    return parts
