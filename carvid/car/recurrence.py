"""The recurrence of CLIP as RNN: propose, classify, drop, until no query is dropped (eq. 3, 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from carvid.evidence import RecurrentStep


class Proposer(Protocol):
    """f on one frame."""

    def propose(self, live: Sequence[int]) -> Tensor:
        """Masks y_t (len(live), H, W) float32 in [0, 1] of the live queries (eq. 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Asked:
    """A recurrent step that waits for its scores: y_t (len(live), H, W) in [0, 1] of the live queries."""

    live: tuple[int, ...]
    proposals: Tensor


# P_t^{ii} (len(live),) float32 in [0, 1] of each frame that asks, in their order: how sure v and g are that query i's
# proposal shows it (eq. 4, 5).
Classify = Callable[[dict[int, Asked]], Sequence[Tensor]]


@dataclass(frozen=True, eq=False)
class Recurrence:
    """What is left when h_t = h_{t-1}.

    kept: the queries of y_T, ascending; survivors, or the best-scoring query alone where none survived.
    proposals: y_T (len(kept), H, W) float32. scores: (N,), each query's last score. present: (N,) bool,
    survived with score >= theta. steps: one entry per recurrent step.
    """

    kept: tuple[int, ...]
    proposals: Tensor
    scores: tuple[float, ...]
    present: tuple[bool, ...]
    steps: tuple[RecurrentStep, ...]


def recur_together(
    proposers: Sequence[Proposer], classify: Classify, queries: int, theta: float
) -> list[Recurrence]:
    """Run the recurrence of several frames in lock step, so that all their prompted images are encoded together.

    classify: told which frames ask, by their place among `proposers`.
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
    """The recurrence of one frame from the full set of `queries` queries (at least one); sent the scores of each step.

    When nothing passes theta, the best-scoring query is kept for the mask, and its score is reported as it is:
    it is not run alone again, since in a softmax of its own it would always score 1.
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
    """Rows of `values` (len(kept), ...) at the places of the kept queries, zeros elsewhere: (queries, ...)."""
    full = values.new_zeros(queries, *values.shape[1:])
    full[torch.tensor(kept, dtype=torch.long, device=values.device)] = values
    return full
