"""Adding up frames that were made again, and choosing them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from carvid.errors import UsageError
from carvid.verify.agreement_again import Agreement, Outcome
from carvid.verify.asked_again import made_otherwise, sample
from carvid.verify.check import Check, Faults, is_whole

TWO = np.array([[1, 1, 0, 0]], np.bool_)
THREE = np.array([[1, 1, 1, 0]], np.bool_)


def judged(stored: Outcome, made: Outcome, otherwise: list[str]) -> Check:
    agreement = Agreement()
    agreement.add("frame 7", stored, made)
    return agreement.check(otherwise, [])


def test_unequal_masks_differ_unless_something_else_may_be_why() -> None:
    stored, made = Outcome({"query 1": TWO, "query 2": TWO}), Outcome({"query 1": THREE, "query 2": TWO})
    told = "1 frame made again; 1 of 2 masks and labels equal; mean IoU 0.833333, lowest 0.666667 (frame 7, query 1)"
    assert judged(stored, made, []) == Check("rerun", "differs", told)
    other = judged(stored, made, ["torch 1 then, 2 now"])
    assert other == Check(
        "rerun", "unchecked", f"{told}; it was made otherwise, which may be why: torch 1 then, 2 now"
    )
    assert judged(stored, stored, ["torch 1 then, 2 now"]).state == "ok"


@pytest.mark.parametrize(
    ("score", "otherwise", "state"),
    [
        (0.500001, [], "ok"),
        (0.50001, [], "differs"),
        (0.50001, ["threads 1 then, 2 now"], "ok"),
        (0.51, ["threads 1 then, 2 now"], "unchecked"),
    ],
)
def test_scores_may_move_a_little_where_sums_are_made_otherwise(
    score: float, otherwise: list[str], state: str
) -> None:
    stored, made = Outcome({"query 1": TWO}, {"query 1": 0.5}), Outcome({"query 1": TWO}, {"query 1": score})
    check = judged(stored, made, otherwise)
    assert check.state == state
    assert ("has the score 0.500000" in check.why) == (score != 0.500001)


def test_other_queries_in_the_steps_are_never_near() -> None:
    stored, made = Outcome(steps=[{0: 0.5, 1: 0.1}, {0: 0.5}]), Outcome(steps=[{0: 0.5, 1: 0.1}])
    assert judged(stored, made, []).state == "differs"
    assert judged(stored, made, ["torch 1 then, 2 now"]).state == "unchecked"


def test_without_a_frame_nothing_was_compared() -> None:
    assert Agreement().check([], ["why"]) == Check("rerun", "unchecked", "no frame could be compared; why")


def test_a_sample_holds_each_item_once_and_all_as_likely() -> None:
    assert sample(range(3), 5, random.Random(0)) == [0, 1, 2]
    counts = np.zeros(10, int)
    for seed in range(2000):
        found = sample(range(10), 3, random.Random(seed))
        assert len(set(found)) == 3
        counts[found] += 1
    assert counts.min() > 500
    assert counts.max() < 700
    with pytest.raises(UsageError):
        sample(range(3), 0, random.Random(0))


def test_what_is_not_recorded_counts_as_made_otherwise() -> None:
    assert made_otherwise({}, "cpu", "cpu") == [
        "versions of packages are not recorded",
        "the processor is not recorded",
    ]
    assert made_otherwise({}, "cuda:1", "cpu")[0] == "on cuda then, cpu now"
    assert made_otherwise({}, "cuda:1", "cuda:0")[0].startswith("on cuda, where sums may depend")


def test_only_the_first_faults_are_named() -> None:
    faults = Faults()
    faults.add(f"frame {i}" for i in range(5))
    assert faults.check("masks", "") == Check("masks", "differs", "frame 0; frame 1; frame 2; and 2 more")
    assert faults.check("masks", "").told() == "masks: differs: frame 0; frame 1; frame 2; and 2 more"
    assert Check("source", "unchecked", "gone").told() == "source: cannot be checked: gone"


def test_nothing_checked_is_not_whole() -> None:
    ok, gone, other = (Check("a", state) for state in ("ok", "unchecked", "differs"))
    assert [is_whole(each) for each in ([ok, gone], [gone], [ok, other], [])] == [True, False, False, False]
