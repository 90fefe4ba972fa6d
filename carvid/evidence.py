"""How CLIP as RNN came to a frame's masks: the recurrence, its last proposals, and what SAM made of them."""

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

    def among(self, queries: Sequence[int]) -> RecurrentStep:
        """The step of a run over some of the queries, in terms of all: its query i is queries[i]."""
        return RecurrentStep(tuple(queries[i] for i in self.live), self.scores)

    def spread(self, place: Sequence[int]) -> RecurrentStep:
        """The step in terms of the queries as given, when query i of them stands at `place[i]` here."""
        score = dict(zip(self.live, self.scores, strict=True))
        live = tuple(i for i, query in enumerate(place) if query in score)
        return RecurrentStep(live=live, scores=tuple(score[place[i]] for i in live))


@dataclass(frozen=True)
class SamRecord:
    """What the SAM ensemble did with one query's mask in one frame.

    matched: SAM masks with IoM above phi_iom. iou: of their union and the CRF mask; None without a match.
    replaced: whether the union took the CRF mask's place.
    """

    matched: int = 0
    iou: float | None = None
    replaced: bool = False

    def as_json(self) -> dict[str, Any]:
        """The fields for results.jsonl, IoU rounded to 6 decimals."""
        return {**asdict(self), "iou": None if self.iou is None else round(self.iou, 6)}


@dataclass(frozen=True, eq=False)
class Evidence:
    """What CLIP as RNN leaves beside a frame's masks, for N queries in the order the caller gave them.

    steps: the recurrence, one entry per step.
    read_proposals: what `proposals` calls for its values.
    sam: what the SAM ensemble did with each query's mask; None where it did not run.
    """

    steps: tuple[RecurrentStep, ...]
    read_proposals: Callable[[], NDArray[np.float32]]
    sam: tuple[SamRecord, ...] | None = None

    @cached_property
    def proposals(self) -> NDArray[np.float32]:
        """(N, H, W) float32 in [0, 1], y_T before the CRF; zeros for dropped queries.

        Few ask for them, so they are copied from the device only then; until they are, they stay there.
        """
        values = self.read_proposals()
        object.__setattr__(self, "read_proposals", _Known(values))
        return values

    def __getstate__(self) -> dict[str, Any]:
        """With the proposals read: what reads them belongs to this process."""
        _ = self.proposals
        return dict(self.__dict__)


@dataclass(frozen=True, eq=False)
class _Known:
    """Reads proposals that were read before."""

    values: NDArray[np.float32]

    def __call__(self) -> NDArray[np.float32]:
        return self.values
