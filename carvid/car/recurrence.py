"""The recurrence of CLIP as RNN: propose, classify, drop, until no query is dropped (eq. 3, 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from carvid.evidence import RecurrentStep


class Proposer(Protocol):
    """f on one frame; see `carvid.car.proposals.FrameProposer`."""

    def propose(self, live: Sequence[int]) -> Tensor:
        """Soft masks y_t (len(live), H, W) float32 in [0, 1] of the live queries (eq. 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Asked:
    """A recurrent step that waits for its scores.

    live: the live queries, ascending. proposals: their y_t, (len(live), H, W) float32 in [0, 1].
    """

    live: tuple[int, ...]
    proposals: Tensor


# Takes the waiting step of each frame, by the frame's number; returns, in the same order, each one's scores P_t^{ii},
# (len(live),) float32 in [0, 1]: how sure v and g are that query i's proposal shows query i (eq. 4, 5).
Classify = Callable[[dict[int, Asked]], Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class Recurrence:
    """The outcome of a frame's recurrence over N queries, once h_t = h_{t-1}.

    kept: the queries of y_T, ascending: the survivors or, if there are none, the best-scoring query alone.
    proposals: y_T, (len(kept), H, W) float32 in [0, 1].
    scores: each query's last score, in [0, 1]; N of them. present: whether it survived, with a score >= theta; N.
    steps: the recurrent steps, in order.
    """

    kept: tuple[int, ...]
    proposals: Tensor
    scores: tuple[float, ...]
    present: tuple[bool, ...]
    steps: tuple[RecurrentStep, ...]


def recur_together(
    proposers: Sequence[Proposer], classify: Classify, queries: int, theta: float
) -> list[Recurrence]:
    """Run the recurrences of several frames in lock step, so that all their prompted images are encoded together.

    proposers: one per frame. classify: gets the waiting steps by the frame's place among `proposers`.
    queries: how many there are, at least 1. theta: the lowest score at which a query is kept, in [0, 1].
    Returns the outcomes in the order of `proposers`.
    """
    runs = [recur(proposer, queries, theta) for proposer in proposers]
    asked = {i: next(run) for i, run in enumerate(runs)}
    found: dict[int, Recurrence] = {}
    while asked:
        for i, scores in zip(list(asked), classify(asked), strict=True):
            try:
                asked[i] = runs[i].send(scores)
            except StopIteration as end:
                found[i] = end.value
                del asked[i]
    return [found[i] for i in range(len(runs))]


def recur(proposer: Proposer, queries: int, theta: float) -> Generator[Asked, Tensor, Recurrence]:
    """The recurrence of one frame, as a generator: yields each step, is sent its scores, and returns the outcome.

    It starts with all `queries` queries (at least 1). When none reaches theta, the best-scoring query is kept for its
    mask and its score is reported as it is. It is not run again alone, because alone in a softmax it would always
    score 1.
    """
    live = tuple(range(queries))
    last_score = [0.0] * queries
    steps: list[RecurrentStep] = []
    while True:
        proposals = proposer.propose(live)
        scores = (yield Asked(live, proposals)).tolist()
        steps.append(RecurrentStep(live=live, scores=tuple(scores)))
        for query, score in zip(live, scores, strict=True):
            last_score[query] = score
        passed = tuple(query for query, score in zip(live, scores, strict=True) if score >= theta)
        if passed == live or not passed:
            break
        live = passed
    kept = passed
    if not passed:
        kept = (live[max(range(len(live)), key=scores.__getitem__)],)
        proposals = proposer.propose(kept)
    return Recurrence(
        kept=kept,
        proposals=proposals,
        scores=tuple(last_score),
        present=tuple(query in passed for query in range(queries)),
        steps=tuple(steps),
    )


def scatter(values: Tensor, kept: Sequence[int], queries: int) -> Tensor:
    """Spread `values` (len(kept), ...) over all queries, with zeros for those not kept: (queries, ...), same dtype."""
    full = values.new_zeros(queries, *values.shape[1:])
    full[torch.tensor(kept, dtype=torch.long, device=values.device)] = values
    return full
