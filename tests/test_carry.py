"""The query set carried from frame to frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from carvid import UsageError, VideoSegmenter
from carvid.car.carry import Carry, CarryOptions
from carvid.car.recurrence import Recurrence
from carvid.evidence import RecurrentStep
from tests.tiny_clip import make_tiny_clip

QUERIES = ["the red car", "a blue star", "a white fish"]
STILL = torch.full((20, 30, 3), 90, dtype=torch.uint8)
OTHER = torch.full((20, 30, 3), 140, dtype=torch.uint8)


def left(present: list[bool], scores: list[float]) -> Recurrence:
    """What a recurrence over as many queries leaves, in one step."""
    kept = tuple(i for i, there in enumerate(present) if there)
    step = RecurrentStep(tuple(range(len(present))), tuple(scores))
    return Recurrence(kept, torch.zeros(len(kept), 20, 30), tuple(scores), tuple(present), (step,))


def test_a_frame_starts_with_what_the_one_before_left_and_every_kth_with_all() -> None:
    carry = Carry(CarryOptions(every=3), 3)
    assert carry.start(STILL) == (0, 1, 2)
    carry.end((0, 1, 2), left([True, False, True], [0.9, 0.1, 0.5]), STILL)
    assert carry.start(STILL) == (0, 2)
    found = carry.end((0, 2), left([False, True], [0.2, 0.6]), STILL)
    assert found.kept == (2,)
    assert found.present == (False, False, True)
    assert found.scores == (0.2, 0.1, 0.6)  # the dropped one keeps the score it was dropped with
    assert [step.live for step in found.steps] == [(0, 2)]
    assert carry.start(STILL) == (2,)
    carry.end((2,), left([True], [0.7]), STILL)
    assert carry.start(STILL) == (0, 1, 2)


def test_a_cut_readmits_all_and_counts_from_there() -> None:
    carry = Carry(CarryOptions(every=3, cut=20.0), 2)
    none = left([True, False], [0.9, 0.1])
    starts = []
    for image in (STILL, STILL, OTHER, OTHER, OTHER, OTHER, OTHER):
        starts.append(carry.start(image))
        carry.end(starts[-1], none if len(starts[-1]) == 2 else left([True], [0.9]), image)
    assert starts == [(0, 1), (0,), (0, 1), (0,), (0,), (0, 1), (0,)]
    slow = Carry(CarryOptions(every=9, cut=60.0), 2)
    slow.start(STILL)
    slow.end((0, 1), none, STILL)
    assert slow.start(OTHER) == (0,)


def test_where_the_best_query_is_kept_though_none_passed_the_next_frame_starts_with_all() -> None:
    carry = Carry(CarryOptions(every=9), 2, keep_best=True)
    found = carry.end(carry.start(STILL), left([False, False], [0.1, 0.2]), STILL)
    assert found.present == (False, False)
    assert carry.start(STILL) == (0, 1)


def test_where_nothing_is_left_nothing_is_asked() -> None:
    carry = Carry(CarryOptions(every=5), 2)
    carry.end(carry.start(STILL), left([False, False], [0.1, 0.2]), STILL)
    assert carry.start(STILL) == ()
    found = carry.end((), None, STILL)
    assert (found.kept, found.present, found.scores, found.steps) == (
        (),
        (False, False),
        (0.1, 0.2),
        (),
    )
    assert found.proposals.shape == (0, 20, 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, logit_scale=6.0)


def made(model: Path, carry: CarryOptions | None, **options: object) -> VideoSegmenter:
    return VideoSegmenter.from_pretrained(model, queries=QUERIES, device="cpu", carry=carry, **options)


def noise(frames: int) -> list[np.ndarray]:
    return list(np.random.default_rng(4).integers(0, 256, (frames, 40, 56, 3)).astype(np.uint8))


def test_carried_to_every_frame_it_is_the_method_as_it_is(model: Path) -> None:
    plain, carried = made(model, None), made(model, CarryOptions(every=1))
    for one, other in zip(plain.run(noise(3)), carried.run(noise(3)), strict=True):
        assert np.array_equal(one.label_map, other.label_map)
        assert np.array_equal(one.scores, other.scores)
        assert one.evidence.steps == other.evidence.steps


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_a_carried_frame_is_the_frame_of_a_run_with_those_queries_alone(model: Path, mode: str) -> None:
    images = noise(2)
    scores = made(model, None, mode=mode, theta=0.0).step(images[0]).scores
    theta = float(np.sort(scores)[:2].mean())
    carried = made(model, CarryOptions(every=9, cut=255.0), mode=mode, theta=theta)
    first, second = carried.run(images)
    live = first.present.nonzero()[0].tolist()
    assert 0 < len(live) < 3
    alone = VideoSegmenter.from_pretrained(
        model, queries=[QUERIES[i] for i in live], device="cpu", mode=mode, theta=theta
    ).step(images[1])
    assert np.allclose(second.scores[live], alone.scores, atol=1e-5)
    assert second.present[live].tolist() == alone.present.tolist()
    assert (second.masks[live] == alone.masks).all()
    dropped = [i for i in range(3) if i not in live]
    assert not second.masks[dropped].any()
    assert second.scores[dropped].tolist() == first.scores[dropped].tolist()


def test_with_nothing_left_masks_are_empty_until_all_are_asked_again(model: Path) -> None:
    carried = made(model, CarryOptions(every=3, cut=255.0), theta=1.0, preset="default")
    results = list(carried.run(noise(4)))
    assert [len(result.evidence.steps) for result in results] == [1, 0, 0, 1]
    assert not any(result.label_map.any() for result in results)
    assert all(result.masks.shape == (3, 40, 56) for result in results)


def test_another_video_starts_with_all(model: Path) -> None:
    carried = made(model, CarryOptions(every=9, cut=255.0), theta=1.0, preset="default")
    assert [len(result.evidence.steps) for result in carried.run(noise(2))] == [1, 0]
    assert [len(result.evidence.steps) for result in carried.run(noise(2))] == [1, 0]


def test_what_does_not_go_together_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="carry is 0; expected a whole number from 1"):
        CarryOptions(every=0)
    with pytest.raises(UsageError, match="carry and batch exclude each other"):
        made(model, CarryOptions(every=2), batch=4)


def test_the_record_tells_of_it(model: Path) -> None:
    assert made(model, CarryOptions(every=7)).describe()["carry"] == {"every": 7, "cut": 20.0}
    assert made(model, None).describe()["carry"] is None
