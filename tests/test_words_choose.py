"""Choosing among things by what an expression says: things as boxes whose places, sizes and ways can be read here."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.errors import UsageError
from carvid.words import read
from carvid.words.candidates import Candidate
from carvid.words.choose import Choice, choose
from carvid.words.reading import Clue

SIZE = (100, 200)
FRAMES = 9


def thing(
    x: float,
    y: float = 50,
    width: float = 20,
    height: float = 20,
    *,
    step: tuple[float, float] = (0, 0),
    grow: float = 0,
    frames: tuple[int, int] = (0, FRAMES),
    camera: tuple[float, float] = (0, 0),
) -> Candidate:
    """A box around (x, y) in the first frame, moving by `step` px a frame and growing by the share `grow` a frame, seen
    from frame to frame; the camera shifts the picture by `camera` px a frame."""
    boxes = np.full((FRAMES, 4), np.nan)
    for t in range(*frames):
        half = np.array([width, height]) / 2 * (1 + grow) ** t
        middle = np.array([x, y]) + np.array(step) * t + np.array(camera) * t
        boxes[t] = [*(middle - half), *(middle + half)]
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = np.nan_to_num(sides.prod(1))
    return Candidate(boxes, areas, np.outer(np.arange(FRAMES), camera))


def chosen(expression: str, *candidates: Candidate, **others: list[Candidate]) -> Choice:
    clues = read(expression).clues
    assert clues, expression
    known = {clue.other: others["others"] for clue in clues if clue.other and others}
    return choose(candidates, clues, SIZE, others=known)


LEFT, MIDDLE, RIGHT = thing(30), thing(100), thing(170)
HIGH, LOW = thing(100, 20), thing(100, 80)
BIG, SMALL = thing(50, 50, 40, 30), thing(150, 50, 20, 10)


@pytest.mark.parametrize(
    ("expression", "candidates", "right"),
    [
        # place
        ("the dog on the left", (RIGHT, LEFT, MIDDLE), 1),
        ("a dog on the right side", (LEFT, RIGHT, MIDDLE), 1),
        ("the dog in the middle", (LEFT, MIDDLE, RIGHT), 1),
        ("the kite at the top", (LOW, HIGH), 1),
        ("the kite at the bottom", (HIGH, LOW), 1),
        (
            "the bird in the top right corner",
            (thing(20, 20), thing(180, 80), thing(180, 20), thing(20, 80)),
            2,
        ),
        # Nearer things are larger, and stand lower in the picture.
        ("the car in front", (thing(60, 40), thing(120, 70, 40, 40)), 1),
        ("the car in the back", (thing(60, 40), thing(120, 70, 40, 40)), 0),
        # order
        ("the second horse from the left", (RIGHT, LEFT, MIDDLE), 2),
        ("third from the right", (RIGHT, LEFT, MIDDLE), 1),
        ("the leftmost horse", (RIGHT, LEFT, MIDDLE), 1),
        # size
        ("the largest horse", (SMALL, BIG), 1),
        ("the smallest horse", (BIG, SMALL), 1),
        ("the tallest man", (thing(50, 50, 40, 20), thing(150, 50, 10, 60)), 1),
        ("the shortest man", (thing(150, 50, 10, 60), thing(50, 50, 40, 20)), 1),
        ("the longest snake", (thing(50, 50, 30, 30), thing(150, 50, 60, 8)), 1),
        # motion
        ("a car moving to the left", (thing(100, step=(3, 0)), thing(100, step=(-3, 0))), 1),
        ("a car moving to the right", (thing(100, step=(-3, 0)), thing(100, step=(3, 0))), 1),
        ("a balloon going up", (thing(100, step=(0, 2)), thing(100, step=(0, -2))), 1),
        ("a balloon going down", (thing(100, step=(0, -2)), thing(100, step=(0, 2))), 1),
        ("a bus coming toward the camera", (thing(60, grow=-0.05), thing(140, grow=0.05)), 1),
        ("a bus driving away from the camera", (thing(60, grow=0.05), thing(140, grow=-0.05)), 1),
        ("a dog running", (thing(60), thing(100, step=(4, 0))), 1),
        ("a dog sitting", (thing(100, step=(4, 0)), thing(60)), 1),
        ("the fastest runner", (thing(30, step=(2, 0)), thing(30, step=(5, 0))), 1),
        ("the slowest runner", (thing(30, step=(5, 0)), thing(30, step=(2, 0))), 1),
        # time
        ("the man leaving the room", (thing(50), thing(150, frames=(0, 5))), 1),
        ("a boat that leaves", (thing(50), thing(150, frames=(0, 5))), 1),
        ("the man entering the room", (thing(50), thing(150, frames=(4, FRAMES))), 1),
    ],
)
def test_a_clue_finds_its_thing(expression: str, candidates: tuple[Candidate, ...], right: int) -> None:
    found = chosen(expression, *candidates)
    assert found.chosen == (right,), found.explain([str(i) for i in range(len(candidates))])
    assert any(one.decisive for one in found.said)


@pytest.mark.parametrize(
    ("expression", "right"),
    [
        ("the cup to the left of the lamp", 0),
        ("the cup to the right of the lamp", 2),
        ("the cup above the lamp", 3),
        ("the cup below the lamp", 4),
        ("the cup next to the lamp", 1),
        ("the cup under the lamp", 4),
        ("the cup in front of the lamp", 4),
        ("the cup behind the lamp", 3),
    ],
)
def test_a_relation_is_to_the_other_thing(expression: str, right: int) -> None:
    cups = thing(20), thing(122), thing(190), thing(100, 12), thing(100, 90)
    assert chosen(expression, *cups, others=[MIDDLE]).chosen == (right,)


def test_one_between_two() -> None:
    cars = [thing(40), thing(160)]
    people = thing(10), thing(100), thing(190)
    assert chosen("a person between two cars", *people, others=cars).chosen == (1,)


def test_following_and_leading_go_by_the_way_both_take() -> None:
    car = thing(90, step=(4, 0))
    bikes = thing(130, step=(4, 0)), thing(50, step=(4, 0))
    assert chosen("a bike following the car", *bikes, others=[car]).chosen == (1,)
    assert chosen("the bike leading the car", *bikes, others=[car]).chosen == (0,)
    back, others = thing(90, step=(-4, 0)), (thing(130, step=(-4, 0)), thing(50, step=(-4, 0)))
    assert chosen("a bike following the car", *others, others=[back]).chosen == (0,)


def test_another_is_the_other_candidate() -> None:
    assert chosen("a dog to the left of another", RIGHT, LEFT).chosen == (1,)
    assert chosen("a dog to the right of another dog", LEFT, RIGHT).chosen == (1,)


def test_a_larger_one_is_larger_than_its_other() -> None:
    ferry = thing(100, 50, 30, 30)
    assert chosen("a boat bigger than the ferry", thing(50, 50, 20, 20), BIG, others=[ferry]).chosen == (1,)


def test_numbers_choose_several() -> None:
    assert set(chosen("two dogs on the left", RIGHT, LEFT, MIDDLE).chosen) == {1, 2}
    assert set(chosen("all the dogs", RIGHT, LEFT, MIDDLE).chosen) == {0, 1, 2}
    assert set(chosen("both dogs", RIGHT, LEFT).chosen) == {0, 1}


@pytest.mark.parametrize(("value", "right"), [("first", 0), ("last", 1)])
def test_the_first_and_the_last_to_come(value: str, right: int) -> None:
    men = thing(50, frames=(2, FRAMES)), thing(150, frames=(6, FRAMES))
    assert choose(men, [Clue("time", value, value)], SIZE).chosen == (right,)


def test_turning_is_a_change_of_heading_or_of_shape() -> None:
    straight, turns = thing(20, step=(8, 0)), thing(20, 20, step=(8, 0))
    turns.boxes[5:, [0, 2]] = turns.boxes[4, [0, 2]]
    turns.boxes[5:, [1, 3]] += 8 * np.arange(1, FRAMES - 4)[:, None]
    assert chosen("a car turning", straight, turns).chosen == (1,)


def test_clues_multiply() -> None:
    candidates = thing(20, 20), thing(180, 20), thing(180, 80), thing(20, 80)
    found = chosen("the bird in the bottom right corner", *candidates)
    assert found.chosen == (2,)
    first, second = (np.array(one.scores) for one in found.said)
    assert found.scores == pytest.approx((first * second).tolist())


def test_the_only_candidate_stays_and_nothing_decides() -> None:
    found = chosen("the car on the left, the second from the right", thing(190))
    assert found.chosen == (0,)
    assert not any(one.decisive for one in found.said)


def test_a_clue_that_nothing_satisfies_or_all_do_is_not_decisive() -> None:
    for expression in ("the fifth dog from the left", "a dog moving to the left", "the dog next to the tree"):
        found = chosen(expression, LEFT, RIGHT)
        assert (found.chosen, [one.decisive for one in found.said]) == ((0,), [False]), expression
        assert found.scores == (1, 1)
    alike = chosen("the largest dog", LEFT, RIGHT)
    assert not alike.said[0].decisive


def test_a_difference_that_is_hardly_one_hardly_decides() -> None:
    # A hundredth larger, a px further left, a thousandth of a px a frame faster: of things 20 px wide.
    for expression, pair in (
        ("the largest dog", (thing(50), thing(150, 50, 20.1, 20.1))),
        ("the fastest dog", (thing(50), thing(150, step=(0.001, 0)))),
        ("a dog turning", (thing(50, step=(3, 0)), thing(50, 20, step=(4, 0)))),
    ):
        assert not chosen(expression, *pair).said[0].decisive, expression
    near = choose((thing(100), thing(99)), read("the dog on the left").clues, SIZE, base=[1, 0.5])
    assert near.chosen == (0,)
    far = choose((thing(100), thing(60)), read("the dog on the left").clues, SIZE, base=[1, 0.5])
    assert far.chosen == (1,)


@pytest.mark.parametrize(
    ("candidates", "base", "message"),
    [
        ((), None, "no candidate to choose from"),
        ((LEFT, thing(50, frames=(0, 0))), None, "candidate 1 is seen in no frame; leave it out"),
        ((LEFT, RIGHT), [1.0], "expected 2 numbers above 0, one for each candidate"),
        ((LEFT, RIGHT), [1.0, float("nan")], "expected 2 numbers above 0"),
        ((LEFT, RIGHT), [1.0, 0.0], "expected 2 numbers above 0"),
    ],
)
def test_what_cannot_be_chosen_from_is_refused(
    candidates: tuple[Candidate, ...], base: list[float] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose(candidates, read("the dog on the left").clues, SIZE, base=base)


def test_another_thing_that_is_never_seen_says_nothing() -> None:
    found = chosen("the cup next to the lamp", LEFT, RIGHT, others=[thing(50, frames=(0, 0))])
    assert not found.said[0].decisive


def test_a_weak_clue_gives_way_to_what_g_says() -> None:
    candidates = thing(60), thing(100, step=(4, 0))
    clues = read("a dog running").clues
    assert choose(candidates, clues, SIZE).chosen == (1,)
    assert choose(candidates, clues, SIZE, base=[1, 0.2]).chosen == (0,)
    assert choose((RIGHT, LEFT), read("the dog on the left").clues, SIZE, base=[1, 0.2]).chosen == (1,)


def test_the_cameras_motion_is_no_motion() -> None:
    # The camera turns to the right: what stands shifts to the left, what goes along stays in place.
    stands = thing(150, camera=(-5, 0))
    goes = thing(50, step=(5, 0), camera=(-5, 0))
    assert chosen("a car moving to the right", stands, goes).chosen == (1,)
    assert chosen("the parked car", goes, stands).chosen == (1,)
    # At the picture's edge a box ends, so that what stands seems to move; it is still the slower one.
    cut = Candidate(stands.boxes.clip(0, 140), stands.areas, stands.camera)
    assert cut.speed > 1
    assert chosen("the parked car", goes, cut).chosen == (1,)
    assert stands.speed == pytest.approx(0)
    assert goes.velocity.tolist() == pytest.approx([5, 0])


def test_masks_become_boxes() -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, 1:3, 2:5] = True
    one = Candidate.of_masks(masks)
    assert one.boxes[0].tolist() == [2, 1, 5, 3]
    assert np.isnan(one.boxes[1]).all()
    assert (one.areas.tolist(), one.seen.tolist()) == ([6, 0], [True, False])


def test_a_thing_seen_once_has_no_motion() -> None:
    once = thing(50, frames=(3, 4))
    assert (once.speed, once.growth, once.turn, once.velocity.tolist()) == (0, 0, 0, [0, 0])
    assert chosen("the dog on the left", RIGHT, once).chosen == (1,)


def test_explain_says_which_clue_spoke_for_whom() -> None:
    told = chosen("the dog on the left", RIGHT, LEFT).explain(["dog 1", "dog 2"])
    assert told.splitlines() == [
        "  dog 1: 1.00 by itself, x 0.05 'on the left' = 0.050",
        "* dog 2: 1.00 by itself, x 1.00 'on the left' = 1.000",
    ]
    alone = chosen("the dog on the left", LEFT).explain(["dog 1"])
    assert alone == "* dog 1: 1.00 by itself, 'on the left' not decisive = 1.000"


places = st.lists(
    st.tuples(st.integers(10, 190), st.integers(10, 90), st.integers(4, 30), st.integers(-3, 3)),
    min_size=2,
    max_size=5,
    unique_by=lambda it: it[0],
)


def mirrored(one: Candidate) -> Candidate:
    boxes = one.boxes.copy()
    boxes[:, [0, 2]] = SIZE[1] - one.boxes[:, [2, 0]]
    return Candidate(boxes, one.areas, one.camera * [-1, 1])


@given(
    places,
    st.sampled_from(
        [("place", "left", "right"), ("order", "left:2", "right:2"), ("motion", "left", "right")]
    ),
)
def test_mirrored_frames_swap_left_and_right(spots: list, clue: tuple[str, str, str]) -> None:
    kind, one, other = clue
    things = [thing(x, y, side, side, step=(step, 0)) for x, y, side, step in spots]
    plain = choose(things, [Clue(kind, one, "")], SIZE)
    swapped = choose([mirrored(each) for each in things], [Clue(kind, other, "")], SIZE)
    assert plain.chosen == swapped.chosen
    np.testing.assert_allclose(plain.scores, swapped.scores, atol=1e-9)


@given(places, st.integers(1, 5))
def test_an_order_is_the_place_in_a_sorted_row(spots: list, number: int) -> None:
    things = [thing(x, y) for x, y, _, _ in spots]
    found = choose(things, [Clue("order", f"left:{number}", "")], SIZE)
    row = sorted(range(len(things)), key=lambda i: spots[i][0])
    assert found.chosen == ((row[number - 1],) if number <= len(row) else (0,))


def test_what_a_side_of_the_picture_cuts_moves_as_its_opposite_edge_does() -> None:
    whole = thing(180, width=60, step=(2, 0))
    cut = Candidate(whole.boxes.clip(0, SIZE[1]), whole.areas, whole.camera, None, SIZE)
    other = thing(60, step=(1.5, 0))
    assert cut.velocity == pytest.approx([2, 0])
    # By its middle it would move 1 px a frame.
    assert Candidate(cut.boxes, cut.areas, cut.camera).velocity == pytest.approx([1, 0])
    assert choose([cut, other], read("the fastest dog").clues, SIZE).chosen == (0,)
    assert choose([cut, other], read("the slowest dog").clues, SIZE).chosen == (1,)


def test_a_thing_found_by_both_phrases_is_no_relation_of_its_own() -> None:
    white, brown = thing(40), thing(90)
    clues = read("the dog to the right of the white dog").clues
    assert choose([white, brown], clues, SIZE, others={"the white dog": [thing(41)]}).chosen == (1,)
    # Where there is no other thing but itself, the words decide nothing.
    alone = choose([white], clues, SIZE, others={"the white dog": [white]})
    assert not alone.decides


def test_all_with_another_clue_means_all_that_it_holds_of() -> None:
    row = [thing(20), thing(45), thing(180)]
    assert set(choose(row, read("all the dogs on the left").clues, SIZE).chosen) == {0, 1}
    everything = choose(row, read("all the dogs").clues, SIZE)
    assert set(everything.chosen) == {0, 1, 2}
    assert not everything.decides
    assert choose(row, read("two dogs").clues, SIZE).decides


def test_what_never_shares_a_frame_with_the_other_thing_is_not_next_to_it() -> None:
    lamp = thing(50, frames=(0, 4))
    near, later = thing(76), thing(190, frames=(4, FRAMES))
    choice = choose([later, near], read("the mug next to the lamp").clues, SIZE, others={"the lamp": [lamp]})
    assert choice.chosen == (1,)
    assert choice.decides


@pytest.mark.parametrize("text", ["a boy walking toward the man", "a boat bigger than the ferry"])
def test_a_clue_whose_other_thing_is_not_known_decides_nothing(text: str) -> None:
    grows, small = thing(50, width=40, height=40, grow=0.05), thing(150)
    choice = choose([small, grows], read(text).clues, SIZE)
    assert not choice.decides
    assert choice.said[0].scores == (1, 1)


def test_one_of_which_it_is_unknown_leaves_the_clue_to_the_others() -> None:
    man = thing(100, frames=(0, 5))
    comes, goes, later = thing(20, step=(5, 0)), thing(160, step=(3, 0)), thing(60, frames=(6, FRAMES))
    clues = read("a dog walking toward the man").clues
    assert choose([goes, comes, later], clues, SIZE, others={"the man": [man]}).chosen == (1,)


def turns_back(x: float, first: float, then: float) -> Candidate:
    """A thing that moves by `first` px a frame, and by `then` from the middle of the clip on."""
    steps = [first] * (FRAMES // 2) + [then] * (FRAMES - FRAMES // 2 - 1)
    way = x + np.concatenate([[0], np.cumsum(steps)])
    boxes = np.stack([way - 10, np.full(FRAMES, 40), way + 10, np.full(FRAMES, 60)], 1).astype(float)
    return Candidate(boxes, np.full(FRAMES, 400.0), np.zeros((FRAMES, 2)))


def test_then_parts_what_comes_first_from_what_comes_later() -> None:
    there, back = turns_back(60, 6, -6), turns_back(140, -6, 6)
    for text, right in (
        ("a dog walking to the right and then walking to the left", 0),
        ("a dog walking to the left and then walking to the right", 1),
    ):
        choice = choose([there, back], read(text).clues, SIZE)
        assert choice.chosen == (right,)
        assert [(one.clue.value, one.decisive) for one in choice.said if one.clue.kind == "time"] == [
            ("then", True)
        ]
    # Who is not seen in both halves cannot be judged by them.
    gone = thing(100, frames=(0, 3))
    assert not choose([there, gone], read("a dog then on the left").clues, SIZE).said[0].decisive


def test_not_is_told_by_how_well_each_shows_it() -> None:
    clues = read("a mug without a lid").clues
    row = [thing(40), thing(90), thing(140)]
    choice = choose(row, clues, SIZE, showing={"a lid": [0.9, 0.1, 0.8]})
    assert choice.chosen == (1,)
    assert choice.decides
    assert not choose(row, clues, SIZE).decides
    assert not choose(row, clues, SIZE, showing={"a lid": [0.1, 0.12, 0.1]}).decides


def test_the_cameras_zoom_is_no_motion() -> None:
    # The camera zooms in on the top left corner by 5 % a frame: what stands grows and goes away from the corner.
    zoom = 1.05 ** np.arange(FRAMES)

    def filmed(x: float, side: float, grow: float) -> Candidate:
        half = side / 2 * (1 + grow) ** np.arange(FRAMES)
        middle = np.array([x, 40.0]) * zoom[:, None]
        boxes = np.concatenate(
            [middle - half[:, None] * zoom[:, None], middle + half[:, None] * zoom[:, None]], 1
        )
        return Candidate(boxes, (2 * half * zoom) ** 2, np.zeros((FRAMES, 2)), zoom)

    stands, comes = filmed(30, 20, 0), filmed(60, 10, 0.03)
    assert stands.speed == pytest.approx(0, abs=1e-9)
    assert stands.growth == pytest.approx(0, abs=1e-9)
    assert choose([stands, comes], read("a bus coming toward the camera").clues, SIZE).chosen == (1,)
    assert not choose([stands, filmed(60, 10, 0)], read("a bus coming toward the camera").clues, SIZE).decides
