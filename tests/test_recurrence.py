"""The recurrence alone, driven by fakes whose every score can be read here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from carvid.car.classifier import ClassifierTexts, class_probabilities
from carvid.car.recurrence import Answer, Asked, Recurrence, recur_together, scatter
from carvid.evidence import RecurrentStep


class Numbers:
    """Proposes for query i a 1x1 mask holding the number of live queries, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def propose(self, live: Sequence[int], step: int) -> Tensor:
        self.asked.append(tuple(live))
        return torch.full((len(live), 1, 1), float(len(live)))


Table = dict[tuple[int, ...], list[float]]


def run(proposer: Numbers, table: Table, queries: int, theta: float) -> Recurrence:
    """One frame, its scores by live set."""
    (found,) = run_together([proposer], [table], queries, theta)
    return found


def run_together(
    proposers: Sequence[Numbers],
    tables: Sequence[Table],
    queries: int,
    theta: float,
    asking: list[list[int]] | None = None,
) -> list[Recurrence]:
    def classify(asked: dict[int, Asked]) -> list[Answer]:
        if asking is not None:
            asking.append(list(asked))
        assert all(len(step.proposals) == len(step.live) for step in asked.values())
        return [
            Answer(torch.tensor(tables[i][step.live], dtype=torch.float64), step.proposals)
            for i, step in asked.items()
        ]

    return recur_together(proposers, classify, queries, theta)


def test_it_goes_on_until_no_query_is_dropped() -> None:
    table = {(0, 1, 2, 3): [0.5, 0.1, 0.4, 0.3], (0, 2, 3): [0.6, 0.3, 0.2], (0, 2): [0.7, 0.35]}
    found = run(Numbers(), table, 4, theta=0.3)
    assert [step.live for step in found.steps] == [(0, 1, 2, 3), (0, 2, 3), (0, 2)]
    assert found.kept == (0, 2)
    assert found.scores == pytest.approx((0.7, 0.1, 0.35, 0.2))
    assert found.present == (True, False, True, False)
    assert found.proposals.flatten().tolist() == [2, 2]


def test_a_score_of_exactly_theta_stays() -> None:
    assert run(Numbers(), {(0,): [0.5]}, 1, theta=0.5).present == (True,)


def test_nothing_passes_the_best_is_kept_with_the_score_it_had_among_the_others() -> None:
    proposer = Numbers()
    found = run(proposer, {(0, 1, 2): [0.1, 0.25, 0.2]}, 3, theta=0.3)
    assert found.kept == (1,)
    assert found.present == (False, False, False)
    assert found.scores == pytest.approx((0.1, 0.25, 0.2))
    assert proposer.asked == [(0, 1, 2), (1,)]
    assert len(found.steps) == 1


def test_nothing_passes_in_a_later_step() -> None:
    found = run(Numbers(), {(0, 1, 2): [0.4, 0.1, 0.3], (0, 2): [0.2, 0.25]}, 3, theta=0.3)
    assert found.kept == (2,)
    assert found.scores == pytest.approx((0.2, 0.1, 0.25))
    assert not any(found.present)


def test_theta_zero_ends_after_one_step() -> None:
    assert len(run(Numbers(), {(0, 1): [0.0, 0.0]}, 2, theta=0.0).steps) == 1


def test_frames_recur_in_lock_step_each_as_it_would_alone() -> None:
    tables: list[Table] = [
        {(0, 1): [0.5, 0.4]},
        {(0, 1): [0.5, 0.1], (0,): [0.9]},
        {(0, 1): [0.1, 0.2]},
    ]
    asking: list[list[int]] = []
    together = run_together([Numbers() for _ in tables], tables, 2, 0.3, asking)
    assert asking == [[0, 1, 2], [1]]
    for found, table in zip(together, tables, strict=True):
        alone = run(Numbers(), table, 2, 0.3)
        assert (found.kept, found.scores, found.steps) == (alone.kept, alone.scores, alone.steps)
        assert torch.equal(found.proposals, alone.proposals)


def test_rows_go_back_to_the_places_of_the_kept_queries() -> None:
    assert scatter(torch.tensor([[5], [7]]), (1, 3), 4).tolist() == [[0], [5], [0], [7]]


def test_a_step_is_told_in_terms_of_the_queries_as_given() -> None:
    """Queries given: A, B, A. Unique: A, B."""
    step = RecurrentStep(live=(0, 1), scores=(0.8, 0.2))
    assert step.spread([0, 1, 0]) == RecurrentStep(live=(0, 1, 2), scores=(0.8, 0.2, 0.8))
    assert RecurrentStep(live=(1,), scores=(0.9,)).spread([0, 1, 0]) == RecurrentStep(
        live=(1,), scores=(0.9,)
    )


EYE = torch.eye(3)


def test_probabilities_are_a_softmax_over_the_live_queries() -> None:
    texts = ClassifierTexts(
        queries=EYE[None], negatives=EYE[None, :0], logit_scale=float(torch.log(torch.tensor(3.0)))
    )
    p = class_probabilities(EYE[[0, 2]], texts, [0, 2])
    assert p.flatten().tolist() == pytest.approx([0.75, 0.25, 0.25, 0.75])


def test_alone_a_query_scores_one_unless_a_negative_competes() -> None:
    alone = ClassifierTexts(queries=EYE[None, :1], negatives=EYE[None, :0], logit_scale=2.0)
    assert class_probabilities(EYE[1:2], alone, [0]).item() == 1
    rivalled = ClassifierTexts(queries=EYE[None, :1], negatives=EYE[None, 1:2], logit_scale=2.0)
    assert class_probabilities(EYE[1:2], rivalled, [0]).item() == pytest.approx(1 / (1 + torch.e**2))


def test_negatives_are_columns_only() -> None:
    texts = ClassifierTexts(queries=EYE[None], negatives=EYE[None], logit_scale=1.0)
    assert class_probabilities(EYE, texts, [0, 1, 2]).shape == (3, 3)


def test_several_templates_are_softmaxed_summed_and_softmaxed_again() -> None:
    queries = torch.stack([EYE[:2], EYE[[1, 0]]])
    texts = ClassifierTexts(queries=queries, negatives=torch.zeros(2, 0, 3), logit_scale=5.0)
    # The two templates disagree exactly, so their sum is level.
    assert class_probabilities(EYE[:2], texts, [0, 1]).flatten().tolist() == pytest.approx([0.5] * 4)
