"""How far frames that were made again agree with what is stored, and what that says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from carvid.measures.pair import iou
from carvid.verify.check import DIFFERS, OK, UNCHECKED, Check

NAME = "rerun"

# Scores are stored with 6 decimals, or as float32.
_SAME_SCORE = 1.5e-6
# Another number of threads or another version moves a score by less than this where it leaves the masks as they are.
_NEAR_SCORE = 1e-3

Bools = NDArray[np.bool_]
#: Of each recurrent step the score by query, where it was live.
Steps = Sequence[Mapping[int, float]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a frame has, or what making it again gave; only what can be compared is there.

    masks: (H, W) bool by what they are of, such as "query 1". scores: in [0, 1], likewise. steps: see `Steps`.
    """

    masks: Mapping[str, Bools] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    steps: Steps | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could be compared."""
        return not self.masks and not self.scores and self.steps is None


def is_equal(stored: Outcome, made: Outcome) -> bool:
    """Whether all that is stored was made again."""
    masks = all(np.array_equal(mask, made.masks[name]) for name, mask in stored.masks.items())
    return masks and _apart(stored, made)[0] <= _SAME_SCORE


class Agreement:
    """Adds up frames."""

    def __init__(self) -> None:
        self.frames = self._masks = self._equal = self._scored = self._alike = 0
        self._ious = 0.0
        self._lowest: tuple[float, str] = (2.0, "")
        self._farthest: tuple[float, str] = (0.0, "")

    def add(self, where: str, stored: Outcome, made: Outcome) -> None:
        """where: which frame, in words."""
        self.frames += 1
        for name, mask in stored.masks.items():
            other = made.masks[name]
            overlap = iou(mask, other) if mask.shape == other.shape else 0.0
            self._masks += 1
            self._equal += np.array_equal(mask, other)
            self._ious += overlap
            self._lowest = min(self._lowest, (overlap, f"{where}, {name}"))
        if stored.scores or stored.steps is not None:
            apart, what = _apart(stored, made)
            self._scored += 1
            self._alike += apart <= _SAME_SCORE
            self._farthest = max(self._farthest, (apart, f"{where}, {what}"))

    def miss(self, where: str, why: str) -> None:
        """A frame that is stored and that the source does not give."""
        self.frames += 1
        self._scored += 1
        self._farthest = math.inf, f"{where}: {why}"

    def check(self, otherwise: Sequence[str], notes: Sequence[str]) -> Check:
        """otherwise: what is other, or not known, than when it was made, and may change masks. notes: what was not
        compared, and why."""
        if not self.frames:
            return Check(NAME, UNCHECKED, "; ".join(["no frame could be compared", *notes]))
        told = [f"{self.frames} {'frame' if self.frames == 1 else 'frames'} made again"]
        if self._masks:
            told.append(f"{self._equal} of {self._masks} masks and labels equal")
        if self._equal < self._masks:
            told.append(
                f"mean IoU {self._ious / self._masks:.6f}, lowest {self._lowest[0]:.6f} ({self._lowest[1]})"
            )
        if self._scored:
            told.append(f"scores equal in {self._alike} of {self._scored}")
        if self._alike < self._scored:
            told.append(self._farthest[1])
        equal, alike = self._equal == self._masks, self._alike == self._scored
        is_near = bool(otherwise) and equal and self._farthest[0] < _NEAR_SCORE
        if not (equal and alike) and otherwise:
            told.append(f"it was made otherwise, which may be why: {', '.join(otherwise)}")
        state = OK if is_near or (equal and alike) else UNCHECKED if otherwise else DIFFERS
        return Check(NAME, state, "; ".join([*told, *notes]))


def _apart(stored: Outcome, made: Outcome) -> tuple[float, str]:
    """By how much the scores differ most, and where, in words; infinity where other queries have some."""
    pairs = [(name, score, made.scores[name]) for name, score in stored.scores.items()]
    if stored.steps is not None:
        again = made.steps or ()
        if [set(step) for step in stored.steps] != [set(step) for step in again]:
            return math.inf, "other queries are left in its steps when it is made again"
        for t, (one, other) in enumerate(zip(stored.steps, again, strict=True), 1):
            pairs += [(f"query {i + 1} in step {t}", score, other[i]) for i, score in one.items()]
    return max(
        (
            (abs(score - other), f"{name} has the score {score:.6f}, {other:.6f} when made again")
            for name, score, other in pairs
        ),
        default=(0.0, ""),
    )
