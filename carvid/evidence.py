"""How a frame's masks came about: what CLIP as RNN and SAM did, and from which frames masks were carried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RecurrentStep:
    """One recurrent step t of a frame.

    live: indices (into the query set) of the queries in h_{t-1}, ascending.
    scores: P_t^{ii} of each live query, in [0, 1] (eq. 5).
    """

    live: tuple[int, ...]
    scores: tuple[float, ...]

    def spread(self, place: Sequence[int]) -> RecurrentStep:
        """This step, renumbered for the caller's queries: their query i is query place[i] here."""
        score = dict(zip(self.live, self.scores, strict=True))
        live = tuple(i for i, query in enumerate(place) if query in score)
        return RecurrentStep(live=live, scores=tuple(score[place[i]] for i in live))


@dataclass(frozen=True)
class SamRecord:
    """What the SAM ensemble did with one query's mask in one frame.

    matched: how many SAM masks have an IoM with the CRF mask above phi_iom.
    iou: IoU of their union and the CRF mask, in [0, 1]; None without a match.
    replaced: whether the union replaced the CRF mask.
    """

    matched: int = 0
    iou: float | None = None
    replaced: bool = False

    def as_json(self) -> dict[str, Any]:
        """The fields for results.jsonl, with the IoU rounded to 6 decimals."""
        return {**asdict(self), "iou": None if self.iou is None else round(self.iou, 6)}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What CLIP as RNN reports beside a frame's masks, for N queries in the caller's order.

    steps: the recurrent steps, in order.
    read_proposals: returns the values of `proposals`, copied from the device; None where they are no longer known.
    sam: what the SAM ensemble did with each query's mask; None where it did not run.
    read_segments: takes a mask (H, W) bool, and returns the segments (M, H, W) bool that lie within it; None where
        there are none, or instances are not asked for.
    """

    steps: tuple[RecurrentStep, ...]
    read_proposals: Callable[[], NDArray[np.float32]] | None
    sam: tuple[SamRecord, ...] | None = None
    read_segments: Callable[[NDArray[np.bool_]], NDArray[np.bool_]] | None = None

    @cached_property
    def proposals(self) -> NDArray[np.float32]:
        """(N, H, W) float32 in [0, 1]: y_T, before the CRF; zeros for dropped queries.

        Rarely needed, so they stay on the device until this is first read. Raises ValueError where `read_proposals` is
        None.
        """
        if self.read_proposals is None:
            raise ValueError("the proposals of this frame are no longer known; see Evidence.read_proposals")
        values = self.read_proposals()
        object.__setattr__(self, "read_proposals", _Known(values))
        return values

    def __getstate__(self) -> dict[str, Any]:
        """Read the proposals first, and leave the segments out: the readers work only in this process."""
        if self.read_proposals is not None:
            _ = self.proposals
        return {**self.__dict__, "read_segments": None}


@dataclass(frozen=True)
class UsedWords:
    """A stretch of a query that spoke by a clue.

    words: as written. kind, value: those of the clue; see docs/words.md. decisive: whether it told things apart here.
    """

    words: str
    kind: str
    value: str
    decisive: bool


@dataclass(frozen=True)
class WordsRecord:
    """What became of a query's words where some of them choose among what others find.

    head: what the engine was asked. used: by clue, in the order of the query. left: the stretches left to the engine.
    """

    head: str
    used: tuple[UsedWords, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class FrameOrigin:
    """Where a frame's masks come from, if the engine runs on key frames alone and they are carried to the others.

    key: whether the engine was run on this frame.
    confidence: how well the masks could be carried, in [0, 1]; 1 at a key.
    keys: the indices of the key frames they were carried from, ascending; at a key its own.
    """

    key: bool
    confidence: float
    keys: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Known:
    """Stands in for `read_proposals` once the proposals are on the host."""

    values: NDArray[np.float32]

    def __call__(self) -> NDArray[np.float32]:
        return self.values
