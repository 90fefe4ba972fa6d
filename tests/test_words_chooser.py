"""Choosing through a video: which things an expression means, when that is told, and what the results then hold."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

import carvid.words.chooser as chooser_module
from carvid.errors import UsageError
from carvid.evidence import Evidence, FrameOrigin, RecurrentStep, UsedWords, WordsRecord
from carvid.frame import Frame
from carvid.result import FrameResult, ObjectResult, QueryVerdict
from carvid.sinks.results import frame_record
from carvid.words.chooser import Chooser
from carvid.words.queries import Expressions

H, W = 40, 80
STAYS = np.array([0.0, 0.0, 1.0])


def box(x, y, side=8):
    mask = np.zeros((H, W), np.bool_)
    mask[y : y + side, x : x + side] = True
    return mask


def results(index, asked, things, evidence=None):
    """What an engine and a tracker give of a frame. things: (id, place of what was asked, mask)."""
    masks = [
        np.any([mask for _, at, mask in things if at == place] or [np.zeros((H, W), bool)], axis=0)
        for place in range(len(asked))
    ]
    whole_map, track_map = np.zeros((2, H, W), np.uint8)
    for place, mask in enumerate(masks):
        whole_map[mask] = place + 1
    for number, _, mask in things:
        track_map[mask] = number
    objects = tuple(
        ObjectResult(place + 1, text, mask, 0.75 if mask.any() else 0.1, bool(mask.any()))
        for place, (text, mask) in enumerate(zip(asked, masks, strict=True))
    )
    whole = FrameResult(
        index, None, f"{index:05d}", whole_map, objects, evidence, origin=FrameOrigin(True, 1.0, (index,))
    )
    tracks = tuple(ObjectResult(number, asked[at], mask, 0.75, True) for number, at, mask in things)
    tracked = FrameResult(index, None, f"{index:05d}", track_map, tracks, verdicts=whole.queries)
    return whole, tracked


def sure(text, rivals):
    """A judge to whom all things fit alike."""
    return lambda image, masks: np.ones(len(masks), np.float32)


def ask(queries, frames, *, judge=sure, shifts=None, **options):
    """The results for queries of a video whose frames hold things, as `results` takes them."""
    expressions = Expressions.of(queries)
    chooser = Chooser(expressions, judge, **options)
    image, given = np.zeros((H, W, 3), np.uint8), []
    for t, things in enumerate(frames):
        shift = None if t == 0 else STAYS if shifts is None else shifts[t]
        given += chooser.push(image, *results(t, expressions.asked, things), shift)
    return [*given, *chooser.finish()]


ROW = [(1, 0, box(5, 10)), (2, 0, box(30, 20, 12)), (3, 0, box(65, 5, 6))]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("the mug on the left", [1]),
        ("the largest mug", [2]),
        ("the second mug from the right", [2]),
        ("the smallest mug", [3]),
        ("a mug to the left of another", [1]),
        ("two mugs on the right", [2, 3]),
        ("all the mugs on the left", [1]),
        ("the mugs at the bottom", [2]),
        ("the mugs to the left of another", [1, 2]),
        # What no word tells apart stays as it is.
        ("the mug", [1, 2, 3]),
        ("all the mugs", [1, 2, 3]),
        ("the fifth mug from the left", [1, 2, 3]),
        ("a mug standing", [1, 2, 3]),
    ],
)
def test_an_expression_gets_the_things_it_means(query: str, chosen: list[int]) -> None:
    for one in ask([query], [ROW, ROW, ROW]):
        expected = np.any([mask for number, _, mask in ROW if number in chosen], axis=0)
        assert np.array_equal(one.masks[0], expected)
        assert np.array_equal(one.label_map, expected.astype(np.uint8))
        assert one.objects[0].query == query
        assert (one.objects[0].score, one.objects[0].present) == (0.75, True)
        assert not one.has_tracks


def test_two_queries_with_one_head_are_asked_once_and_told_apart() -> None:
    queries = ["the mug on the left", "the mug on the right", "the mug", "the mug on the left"]
    assert Expressions.of(queries).asked == ("the mug",)
    (one,) = ask(queries, [ROW])
    left, middle, right = (mask for _, _, mask in ROW)
    assert np.array_equal(one.masks, [left, right, left | middle | right, left])
    # Each pixel has the first query that it answers; of a query given twice the first place.
    assert np.array_equal(one.label_map, 1 * left + 2 * right + 3 * middle)


def test_the_only_thing_stays_and_the_words_are_not_decisive() -> None:
    for one in ask(["the mug on the left"], [ROW[1:2]] * 2):
        assert np.array_equal(one.masks[0], ROW[1][2])
        assert one.objects[0].present
        assert one.words is not None
        assert one.words[0] is not None
        assert [used.decisive for used in one.words[0].used] == [False]


def test_a_thing_that_is_not_in_the_frame_is_not_present() -> None:
    found = ask(["the mug on the left"], [ROW, ROW[1:], ROW])
    assert [one.objects[0].present for one in found] == [True, False, True]
    assert [one.objects[0].score for one in found] == [0.75, 0.0, 0.75]
    assert not found[1].masks.any()
    assert not found[1].label_map.any()


def test_a_relation_is_to_the_things_that_its_other_phrase_finds() -> None:
    query = "the mug to the right of the lamp"
    expressions = Expressions.of([query])
    assert expressions.asked == ("the mug", "the lamp")
    lamp = (4, 1, box(45, 30))
    (one,) = ask([query], [[*ROW, lamp]])
    assert np.array_equal(one.masks[0], ROW[2][2])
    # The lamp is asked for, but is no answer.
    assert len(one.objects) == 1
    assert np.array_equal(one.label_map > 0, ROW[2][2])


def test_the_other_thing_may_have_words_of_its_own() -> None:
    query = "the mug next to the lamp on the left"
    lamps = [(4, 1, box(1, 30)), (5, 1, box(70, 20))]
    other = Expressions.of(["a mug worn by the lamp on the left"]).each[0].others
    assert [(one.name, one.place, [clue.value for clue in one.clues]) for one in other] == [
        ("the lamp on the left", 1, ["left"])
    ]
    (one,) = ask(["a mug used by the lamp on the left"], [[*ROW, *lamps]])
    assert np.array_equal(one.masks[0], ROW[0][2]), query


def test_motion_is_told_once_the_shot_is_over_and_the_cameras_is_taken_off() -> None:
    # The picture drifts to the left by 2 px a frame; thing 2 stays in its place, so it moves to the right.
    frames = [[(1, 0, box(60 - 2 * t, 10)), (2, 0, box(20, 20))] for t in range(8)]
    shifts = [np.array([-2.0, 0.0, 1.0])] * 8
    chooser = Chooser(Expressions.of(["the mug moving to the right"]), sure)
    image = np.zeros((H, W, 3), np.uint8)
    for t, things in enumerate(frames):
        given = chooser.push(image, *results(t, ("the mug",), things), None if t == 0 else shifts[t])
        assert list(given) == []
    found = list(chooser.finish())
    assert [one.index for one in found] == list(range(8))
    assert all(np.array_equal(one.masks[0], frames[t][1][2]) for t, one in enumerate(found))


def test_causal_holds_nothing_back_and_knows_only_the_past() -> None:
    frames = [[(1, 0, box(30 + 3 * t * (t > 3), 10)), (2, 0, box(20, 20))] for t in range(8)]
    chooser = Chooser(Expressions.of(["the mug moving to the right"]), sure, causal=True)
    image, chosen = np.zeros((H, W, 3), np.uint8), []
    for t, things in enumerate(frames):
        (one,) = chooser.push(image, *results(t, ("the mug",), things), None if t == 0 else STAYS)
        chosen.append([number for number, _, mask in things if (one.masks[0] & mask).any()])
    # Before anything moves, the word decides nothing.
    assert chosen[:4] == [[1, 2]] * 4
    assert chosen[5:] == [[1]] * 3


def test_a_new_shot_is_chosen_anew() -> None:
    chooser = Chooser(Expressions.of(["the mug on the left"]), sure)
    image = np.zeros((H, W, 3), np.uint8)
    assert list(chooser.push(image, *results(0, ("the mug",), ROW), None)) == []
    # Ids go on over a cut, as the tracker's do.
    later = [(4, 0, box(50, 10)), (5, 0, box(10, 10))]
    (first,) = chooser.push(image, *results(1, ("the mug",), later), None)
    (second,) = chooser.finish()
    assert np.array_equal(first.masks[0], ROW[0][2])
    assert np.array_equal(second.masks[0], later[1][2])


def test_a_long_shot_is_told_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser_module, "HELD", 3)
    chooser = Chooser(Expressions.of(["the mug on the left"]), sure)
    image = np.zeros((H, W, 3), np.uint8)
    counts = []
    for t in range(7):
        counts.append(len(list(chooser.push(image, *results(t, ("the mug",), ROW), STAYS if t else None))))
    assert counts == [0, 0, 3, 0, 0, 3, 0]
    assert len(list(chooser.finish())) == 1
    # Large pictures are held back in a smaller number.
    monkeypatch.setattr(chooser_module, "HELD_BYTES", 2 * image.nbytes)
    chooser = Chooser(Expressions.of(["the mug on the left"]), sure)
    assert list(chooser.push(image, *results(0, ("the mug",), ROW), None)) == []
    assert len(list(chooser.push(image, *results(1, ("the mug",), ROW), STAYS))) == 2


def test_a_speck_and_what_flashes_up_are_no_rivals() -> None:
    speck = (9, 0, box(1, 1, 2))
    flash = (8, 0, box(0, 30, 9))
    frames = [[*ROW, speck, *([flash] if t == 4 else [])] for t in range(20)]
    found = ask(["the mug on the left", "the smallest mug"], frames)
    assert np.array_equal(found[0].masks, [ROW[0][2], ROW[2][2]])


def test_what_the_judge_thinks_of_the_whole_expression_counts() -> None:
    asked = []

    def judge(text, rivals):
        asked.append((text, list(rivals)))
        return lambda image, masks: np.array([0.01 if mask[10, 5] else 0.9 for mask in masks], np.float32)

    (one,) = ask(["the mug on the left", "a lamp"], [ROW], judge=judge)
    # It is unsure of thing 1 at the left, and thing 2 is the next.
    assert asked == [("the mug on the left", ["a lamp"])]
    assert np.array_equal(one.masks[0], ROW[1][2])


def test_with_instances_the_chosen_tracks_have_numbers_of_their_own() -> None:
    queries = ["the mug on the right", "the largest mug", "the mug"]
    frames = [ROW, ROW[:2], ROW]
    found = ask(queries, frames, instances=True)
    first, second, _ = found
    assert first.has_tracks
    assert [(one.id, one.query) for one in first.objects] == [
        (1, "the mug on the right"),
        (2, "the largest mug"),
        (3, "the mug"),
        (4, "the mug"),
        (5, "the mug"),
    ]
    assert first.verdicts == tuple(QueryVerdict(query, 0.75, True) for query in queries)
    assert [one.id for one in second.objects] == [2, 3, 4]
    assert second.verdicts[0] == QueryVerdict("the mug on the right", 0.0, False)
    assert np.array_equal(first.query_masks[0], ROW[2][2])
    assert first.label_map[10, 5] == 3
    assert first.label_map[25, 35] == 2
    assert first.label_map[6, 66] == 1


def test_more_chosen_tracks_than_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser_module, "MOST", 2)
    with pytest.raises(UsageError, match="more than 255 tracks"):
        ask(["all the mugs", "a lamp"], [ROW], instances=True)


def test_every_word_is_told_as_used_or_left() -> None:
    (one,) = ask(["the red mug on the left, standing", "the red mug"], [ROW])
    record = WordsRecord(
        head="the red mug , standing",
        used=(
            UsedWords("on the left", "place", "left", True),
            UsedWords("standing", "motion", "still", False),
        ),
        left=("the red mug", ","),
    )
    assert one.words is not None
    assert asdict(one.words[0])["used"] == asdict(record)["used"]
    assert one.words[1] is None
    line = frame_record(
        one_queries := [o.query for o in one.objects], Frame(0, None, np.zeros((H, W, 3), np.uint8), "0"), one
    )
    assert line["queries"][0]["words"]["used"][0] == {
        "words": "on the left",
        "kind": "place",
        "value": "left",
        "decisive": True,
    }
    assert "words" not in line["queries"][1], one_queries


def test_the_evidence_is_that_of_what_was_asked_for_each_query() -> None:
    expressions = Expressions.of(["a lamp", "the mug on the left", "the mug on the right"])
    assert expressions.asked == ("a lamp", "the mug")
    steps = (RecurrentStep((0, 1), (0.2, 0.8)), RecurrentStep((1,), (0.9,)))
    evidence = Evidence(steps, lambda: np.zeros((2, H, W), np.float32))
    things = [(number, 1, mask) for number, _, mask in ROW]
    chooser = Chooser(expressions, sure)
    list(chooser.push(np.zeros((H, W, 3), np.uint8), *results(0, expressions.asked, things, evidence), None))
    (one,) = chooser.finish()
    assert one.evidence is not None
    assert one.evidence.steps == (
        RecurrentStep((0, 1, 2), (0.2, 0.8, 0.8)),
        RecurrentStep((1, 2), (0.9, 0.9)),
    )
    with pytest.raises(ValueError, match="no longer known"):
        _ = one.evidence.proposals


def test_choices_are_explained_word_by_word() -> None:
    told = []
    ask(["the mug on the left"], [ROW, ROW], tell=told.append)
    assert told == [
        "frames 0 to 1, 'the mug on the left'\n"
        "* thing 1 around (9, 14): 1.00 by itself, x 1.00 'on the left' = 1.000\n"
        "  thing 2 around (36, 26): 1.00 by itself, x 0.33 'on the left' = 0.329\n"
        "  thing 3 around (68, 8): 1.00 by itself, x 0.05 'on the left' = 0.050"
    ]


def test_results_that_are_cut_short_are_given_later() -> None:
    chooser = Chooser(Expressions.of(["the mug on the left"]), sure)
    image = np.zeros((H, W, 3), np.uint8)
    for t in range(4):
        assert list(chooser.push(image, *results(t, ("the mug",), ROW), STAYS if t else None)) == []
    first = next(chooser.finish())
    assert [first.index, *(one.index for one in chooser.finish())] == [0, 1, 2, 3]
    assert list(chooser.finish()) == []


def test_a_judge_that_is_cut_short_loses_no_earlier_result() -> None:
    class Cut(BaseException):
        pass

    def judge(text, rivals):
        def scores(image, masks):
            if len(masks) == 1:
                raise Cut
            return np.ones(len(masks), np.float32)

        return scores

    chooser = Chooser(Expressions.of(["the mug on the left"]), judge)
    image = np.zeros((H, W, 3), np.uint8)
    assert list(chooser.push(image, *results(0, ("the mug",), ROW), None)) == []
    with pytest.raises(Cut):
        list(chooser.push(image, *results(1, ("the mug",), [*ROW, (4, 0, box(1, 30))]), STAYS))
    (one,) = chooser.finish()
    assert np.array_equal(one.masks[0], ROW[0][2])


def test_with_instances_queries_that_differ_in_case_have_their_tracks_each() -> None:
    (one,) = ask(["the mug on the left", "The mug on the left"], [ROW], instances=True)
    assert [(track.id, track.query) for track in one.objects] == [
        (1, "the mug on the left"),
        (2, "The mug on the left"),
    ]
    assert np.array_equal(one.query_masks, [ROW[0][2], ROW[0][2]])


def test_things_that_are_long_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser_module, "REMEMBERED", 5)
    chooser = Chooser(Expressions.of(["the mug on the left"]), sure, causal=True)
    image = np.zeros((H, W, 3), np.uint8)
    for t in range(12):
        things = [(t // 2 + 1, 0, box(5 + t, 10)), (99, 0, box(60, 10))]
        list(chooser.push(image, *results(t, ("the mug",), things), STAYS if t else None))
    assert set(chooser._shot.heads) == {99, 4, 5, 6}
    assert {thing for _, _, thing in chooser._shot.scores} == {99, 4, 5, 6}


def test_what_a_thing_is_not_is_judged_too() -> None:
    asked = []

    def judge(text, rivals):
        asked.append((text, list(rivals)))
        # Thing 1, at (5, 10), has a lid.
        has = text == "a lid"
        return lambda image, masks: np.array([0.9 if has and m[10, 5] else 0.1 for m in masks], np.float32)

    (one,) = ask(["a mug without a lid"], [ROW[:2]], judge=judge)
    assert asked == [("a mug without a lid", []), ("a lid", ["a mug"])]
    assert np.array_equal(one.masks[0], ROW[1][2])
    assert one.words is not None
    assert one.words[0] is not None
    assert [asdict(used) for used in one.words[0].used] == [
        {"words": "without a lid", "kind": "not", "value": "a lid", "decisive": True}
    ]
