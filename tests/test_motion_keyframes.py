"""The engine on key frames alone: which frames are keys, in which order results come, and what lies between."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from carvid.engines import run_session
from carvid.evidence import FrameOrigin
from carvid.measures.pair import iou
from carvid.motion.keyframes import MOST_BETWEEN, KeyframeSession, on_key_frames
from carvid.motion.shots import LOOKAHEAD
from carvid.recipe import Recipe, load_recipe
from tests.motion_cases import HEIGHT, WIDTH, KnownMasks, as_frames, drifting, scenes, textured

NOTHING = np.zeros((1, HEIGHT, WIDTH), np.bool_)


def run(pictures, masks, every, **options):
    engine = KnownMasks(dict(enumerate(masks)), ("the square",))
    session = KeyframeSession(engine, Recipe(keyframes=every, **options))
    return engine, list(run_session(session, as_frames(pictures))), session


def test_every_kth_frame_and_the_last_are_keys_and_results_come_in_order() -> None:
    pictures, masks = drifting(13)
    engine, results, session = run(pictures, masks, 5)
    assert engine.asked == [0, 5, 10, 12]
    assert [one.index for one in results] == list(range(13))
    assert [one.pts_seconds for one in results] == [i / 10 for i in range(13)]
    assert results[5].origin == FrameOrigin(True, 1.0, (5,))
    assert [one.origin.keys for one in results[6:10]] == [(5, 10)] * 4
    for one in results:
        assert iou(one.objects[0].mask, masks[one.index][0]) > 0.93
        assert np.array_equal(one.label_map, one.objects[0].mask.astype(np.uint8))
        assert one.objects[0].score == pytest.approx(0.9)
        assert one.objects[0].present
    assert session.totals == {"motion": {"frames": 13, "keys": 4, "shots": 1}}
    assert session.seconds["known"] == 1.0
    assert session.seconds["motion/flow"] > 0


def test_at_key_frames_the_masks_are_the_engines_to_the_bit() -> None:
    pictures, masks = drifting(7)
    engine, results, _ = run(pictures, masks, 3)
    alone = list(KnownMasks(dict(enumerate(masks)), ("the square",)).steps(as_frames(pictures)))
    for i in engine.asked:
        assert np.array_equal(results[i].label_map, alone[i].label_map)
        assert np.array_equal(results[i].masks, alone[i].masks)


def test_one_frame_is_one_key() -> None:
    pictures, masks = drifting(1)
    engine, results, _ = run(pictures, masks, 5)
    assert engine.asked == [0]
    assert len(results) == 1
    assert run([], [], 5)[1] == []


def test_nothing_is_carried_over_a_cut() -> None:
    first, second = scenes(3, 9), scenes(4, 9)
    pictures = [scene.image for scene in (*first, *second)]
    masks = [scene.masks for scene in first] + [NOTHING] * 9
    engine, results, session = run(pictures, masks, 5)
    # The frame before the cut and the one after it are keys.
    assert engine.asked == [0, 5, 8, 9, 14, 17]
    assert session.totals["motion"]["shots"] == 2
    for one in results:
        assert all((key < 9) == (one.index < 9) for key in one.origin.keys)
        assert one.objects[0].present == (one.index < 9)


def test_a_thing_is_followed_back_to_where_it_comes_in() -> None:
    # It is in the picture from frame 0 on, but the engine is asked only at 0, where it says no, and at 6.
    pictures, masks = drifting(7)
    known = [NOTHING, *masks[1:]]
    engine, results, _ = run(pictures, known, 6)
    assert engine.asked == [0, 6]
    assert not results[0].objects[0].present
    found = [one.index for one in results if one.objects[0].present]
    assert found[-1] == 6
    assert len(found) >= 5
    for i in found:
        assert iou(results[i].objects[0].mask, masks[i][0]) > 0.75


def test_a_thing_that_is_gone_at_the_next_key_is_followed_to_where_it_leaves() -> None:
    pictures, masks = drifting(7)
    without = [*pictures[:3], *[textured(1)] * 4]
    _, results, _ = run(without, [*masks[:3], NOTHING, NOTHING, NOTHING, NOTHING], 6)
    there = [one.objects[0].present for one in results]
    assert there[:3] == [True] * 3
    assert there[4:] == [False] * 3


def test_where_nothing_is_present_no_flow_is_computed() -> None:
    pictures, _ = drifting(6)
    _, results, session = run(pictures, [NOTHING] * 6, 5)
    assert "motion/flow" not in session.seconds
    assert [one.origin.confidence for one in results] == [1.0] * 6
    assert not any(one.label_map.any() for one in results)
    assert results[2].objects[0].score == pytest.approx(0.1)


def test_causal_gives_each_result_with_its_frame() -> None:
    pictures, masks = drifting(9)
    engine = KnownMasks(dict(enumerate(masks)), ("the square",))
    session = KeyframeSession(engine, Recipe(keyframes=4, causal=True))
    for frame in as_frames(pictures):
        (result,) = session.steps([frame])
        assert result.index == frame.index
        assert all(key <= frame.index for key in result.origin.keys)
        assert iou(result.objects[0].mask, masks[frame.index][0]) > 0.84
    assert list(session.finish()) == []
    assert engine.asked == [0, 4, 8]


def test_a_result_waits_for_the_next_key_and_for_its_shot_to_be_certain() -> None:
    pictures, masks = drifting(45, 1)
    engine = KnownMasks(dict(enumerate(masks)), ("the square",))
    session, given = KeyframeSession(engine, Recipe(keyframes=5)), 0
    for taken, frame in enumerate(as_frames(pictures), 1):
        given += len(list(session.steps([frame])))
        assert taken - given <= 5 + LOOKAHEAD
    assert given + len(list(session.finish())) == 45


def test_auto_puts_keys_where_confidence_falls() -> None:
    still = [drifting(1)[0][0]] * 24
    mask = drifting(1)[1][0]
    engine, _, _ = run(still, [mask] * 24, None)
    assert engine.asked == [0, MOST_BETWEEN, 2 * MOST_BETWEEN, 23]
    noise = np.random.default_rng(0)
    pictures, masks = drifting(12)
    restless = [
        np.clip(picture + noise.normal(0, 40, picture.shape), 0, 255).astype(np.uint8) for picture in pictures
    ]
    engine, _, _ = run(restless, masks, None)
    assert max(after - before for before, after in pairwise(engine.asked)) < 5


def test_a_query_given_twice_and_overlapping_masks_keep_their_labels() -> None:
    pictures, masks = drifting(4)
    both = {i: np.concatenate([mask, mask]) for i, mask in enumerate(masks)}
    results = list(
        run_session(KeyframeSession(KnownMasks(both, ("a", "a")), Recipe(keyframes=3)), as_frames(pictures))
    )
    assert [one.id for one in results[1].objects] == [1, 2]
    assert set(np.unique(results[1].label_map)) == {0, 1}
    assert np.array_equal(results[1].masks[0], results[1].masks[1])


def test_closing_closes_the_engine() -> None:
    engine = KnownMasks({}, ("a",))
    KeyframeSession(engine, Recipe(keyframes=5)).close()
    assert engine.is_closed


def test_every_frame_needs_nothing_of_this() -> None:
    engine = KnownMasks({}, ("a",))
    assert on_key_frames(engine, Recipe(keyframes=1)) is engine
    assert isinstance(on_key_frames(engine, Recipe(keyframes=1, instances=True)), KeyframeSession)
    assert isinstance(on_key_frames(engine, Recipe()), KeyframeSession)
    assert load_recipe().keyframes is None
    assert load_recipe("refcoco").keyframes == load_recipe("voc").keyframes == 1


@pytest.mark.parametrize("every", [1, 4])
def test_instances_are_tracked_through_keys_and_what_lies_between(every: int) -> None:
    pictures, masks = drifting(9)
    second = np.zeros((HEIGHT, WIDTH), np.bool_)
    second[70:92, 100:130] = True
    both = [mask | second for mask in masks]
    _, results, session = run(pictures, both, every, instances=True)
    for one in results:
        assert [each.id for each in one.objects] == [1, 2]
        moving = next(each for each in one.objects if each.mask[30:62].sum() > each.mask[70:].sum())
        assert moving.id == results[0].label_map[40, 20]
        assert iou(moving.mask, masks[one.index][0]) > 0.9
        assert [verdict.query for verdict in one.verdicts] == ["the square"]
        assert one.origin.key == (one.index % every == 0)
    assert session.seconds["motion/tracks"] > 0


def test_a_track_ends_at_a_cut() -> None:
    first, second = scenes(3, 8), scenes(4, 8)
    pictures = [scene.image for scene in (*first, *second)]
    _, results, _ = run(pictures, [scene.masks for scene in (*first, *second)], 5, instances=True)
    ids = [{each.id for each in one.objects} for one in results]
    assert not set.union(*ids[:8]) & set.union(*ids[8:])
