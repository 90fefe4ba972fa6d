"""The recurrence of CLIP as RNN: propose, classify, drop, until no query is dropped (eq. 3, 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from carvid.evidence import RecurrentStep


class Proposer(Protocol):
    """f on one frame; see `carvid.car.proposals.FrameProposer`."""

    def propose(self, live: Sequence[int], step: int) -> Tensor:
        """Soft masks y_t (len(live), H, W) float32 in [0, 1] of the live queries in step t, from 1 (eq. 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Asked:
    """A recurrent step that waits for its scores.

    live: the live queries, ascending. proposals: their y_t, (len(live), H, W) float32 in [0, 1]. step: t, from 1.
    """

    live: tuple[int, ...]
    proposals: Tensor
    step: int = 1


@dataclass(frozen=True, eq=False)
class Answer:
    """What v and g say of a recurrent step.

    scores: P_t^{ii}, (len(live),) float32 in [0, 1]: how sure they are that query i's proposal shows query i (eq. 4
        and 5).
    proposals: y_t or, of a proposal that was taken apart, what is left of it; as in `Asked`.
    """

    scores: Tensor
    proposals: Tensor


# Takes the waiting step of each frame, by the frame's number; returns the answers in the same order.
Classify = Callable[[dict[int, Asked]], Sequence[Answer]]


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

    def moved(self, places: Mapping[int, int]) -> Recurrence:
        """The outcome with the kept query `places[i]` in each place i, ascending; the other places are dropped."""
        rows = [self.kept.index(query) for query in places.values()]
        of_place = [places.get(i) for i in range(len(self.scores))]
        return replace(
            self,
            kept=tuple(places),
            proposals=self.proposals[rows],
            scores=tuple(0.0 if query is None else self.scores[query] for query in of_place),
            present=tuple(query is not None and self.present[query] for query in of_place),
        )


def recur_together(
    proposers: Sequence[Proposer],
    classify: Classify,
    queries: int,
    theta: float,
    switches: Sequence[str] = (),
) -> list[Recurrence]:
    """Run the recurrences of several frames in lock step, so that all their prompted images are encoded together.

    proposers: one per frame. classify: gets the waiting steps by the frame's place among `proposers`.
    queries: how many there are, at least 1. theta: the lowest score at which a query is kept, in [0, 1].
    switches: names in `carvid.recipe.variant.SWITCHES`.
    Returns the outcomes in the order of `proposers`.
    """
    runs = [recur(proposer, queries, theta, switches) for proposer in proposers]
    asked = {i: next(run) for i, run in enumerate(runs)}
    found: dict[int, Recurrence] = {}
    while asked:
        for i, answer in zip(list(asked), classify(asked), strict=True):
            try:
                asked[i] = runs[i].send(answer)
            except StopIteration as end:
                found[i] = end.value
                del asked[i]
    return [found[i] for i in range(len(runs))]


def recur(
    proposer: Proposer, queries: int, theta: float, switches: Sequence[str] = ()
) -> Generator[Asked, Answer, Recurrence]:
    """The recurrence of one frame, as a generator: yields each step, is sent its answer, and returns the outcome.

    It starts with all `queries` queries (at least 1). When none reaches theta, the best-scoring query is kept for its
    mask and its score is reported as it is. It is not run again alone, because alone in a softmax it would always
    score 1; the switch `best-goes-on` does so.
    """
    best_goes_on, by_count = "best-goes-on" in switches, "stop-by-count" in switches
    live = tuple(range(queries))
    last_score = [0.0] * queries
    steps: list[RecurrentStep] = []
    proposals: Tensor | None = None
    counted = 0
    while True:
        step = len(steps) + 1
        made = proposer.propose(live, step)
        answer = yield Asked(live, made, step)
        scores, made = answer.scores.tolist(), answer.proposals
        repeats = proposals is not None and "zero-proposals-repeat" in switches and not made.any()
        # That code does not look whose they are: the first query gets the first of them, and so on.
        proposals = proposals[: len(live)] if proposals is not None and repeats else made
        steps.append(RecurrentStep(live=live, scores=tuple(scores)))
        for query, score in zip(live, scores, strict=True):
            last_score[query] = score
        above = ((query, last_score[query]) for query in live)
        passed = tuple(
            query for query, score in above if score > theta or (score == theta and not best_goes_on)
        )
        kept = passed or (max(live, key=last_score.__getitem__),)
        counted, before = sum(last_score[query] > 0 for query in kept), counted
        if counted == before if by_count else kept == live or not (passed or best_goes_on):
            break
        live = kept
    if not passed:
        proposals = proposer.propose(kept, step)
    elif kept != live:
        proposals = proposals[[live.index(query) for query in kept]]
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
