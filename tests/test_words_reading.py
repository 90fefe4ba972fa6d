"""What an expression says, by literal cases: each kind, each value, and what decides between readings."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.words import read

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
LISTS = [
    DATA / name / "meta_expressions" / "valid" / "meta_expressions.json"
    for name in ("ref-davis-2017", "ref-youtube-vos")
]
BY_HAND = Path(__file__).parent / "data" / "read_by_hand.json"
KINDS = {"place", "order", "size", "number", "motion", "relation", "time", "not"}


def clues(text):
    """kind value, and the other thing where there is one."""
    return [f"{c.kind} {c.value}" + (f" -> {c.other}" if c.other else "") for c in read(text).clues]


@pytest.mark.parametrize(
    ("text", "head", "expected"),
    [
        ("the car on the left", "the car", ["place left"]),
        ("the left cup", "the cup", ["place left"]),
        ("a boy on the right side of the picture", "a boy", ["place right"]),
        ("a cup in the top right corner", "a cup", ["place top", "place right"]),
        ("a mug at the bottom", "a mug", ["place bottom"]),
        ("a goose in the middle of the group", "a goose", ["place middle"]),
        ("a boy in front", "a boy", ["place front"]),
        ("the boy in the background", "the boy", ["place back"]),
        ("the boy near the camera", "the boy", ["place near"]),
        ("the boy in the distance", "the boy", ["place far"]),
        ("on the right is a grey van", "a grey van", ["place right"]),
        ("the second boat from the right", "the boat", ["order right:2"]),
        ("the first mug from the front", "the mug", ["order front:1"]),
        ("the third kite from the top", "the kite", ["order top:3"]),
        ("the 4th crate from the bottom", "the crate", ["order bottom:4"]),
        ("the leftmost mug", "the mug", ["order left:1"]),
        ("the largest boat", "the boat", ["size largest"]),
        ("the biggest boat", "the boat", ["size largest"]),
        ("the smallest mug on the right", "the mug", ["size smallest", "place right"]),
        ("the tallest girl", "the girl", ["size tallest"]),
        ("the shortest girl", "the girl", ["size shortest"]),
        ("the longest train", "the train", ["size longest"]),
        ("a boat bigger than the ferry", "a boat", ["size larger -> the ferry"]),
        ("a boat smaller than the ferry", "a boat", ["size smaller -> the ferry"]),
        ("a large boat", "a large boat", []),
        ("two geese", "geese", ["number 2"]),
        ("both boats", "boats", ["number both"]),
        ("all the boats", "the boats", ["number all"]),
        ("a group of geese", "geese", ["number group"]),
        ("a dog walking to the left", "a dog", ["motion left"]),
        ("a van coming from the left", "a van", ["motion right"]),
        ("a kite going up", "a kite", ["motion up"]),
        ("a kite going down", "a kite", ["motion down"]),
        ("a girl running towards the camera", "a girl", ["motion toward"]),
        ("a girl running away from the camera", "a girl", ["motion away"]),
        ("a lorry turning left", "a lorry", ["motion turning", "motion left"]),
        ("a dog walking", "a dog walking", ["motion moving"]),
        ("a parked lorry", "a parked lorry", ["motion still"]),
        ("the fastest runner", "the runner", ["motion fastest"]),
        ("the slowest runner", "the runner", ["motion slowest"]),
        ("a cup to the left of another", "a cup", ["relation left of -> another"]),
        ("a mug to the right of the others", "a mug", ["relation right of -> the others"]),
        ("a lamp above the table", "a lamp", ["relation above -> the table"]),
        ("a lamp below the shelf", "a lamp", ["relation below -> the shelf"]),
        ("a lamp on the desk", "a lamp", ["relation on -> the desk"]),
        ("a bird on top of a cage", "a bird", ["relation on -> a cage"]),
        ("a lamp under the shelf", "a lamp", ["relation under -> the shelf"]),
        ("a lamp behind the sofa", "a lamp", ["relation behind -> the sofa"]),
        ("a lamp in front of the sofa", "a lamp", ["relation in front of -> the sofa"]),
        ("a lamp next to the sofa", "a lamp", ["relation next to -> the sofa"]),
        ("a lamp near the sofa", "a lamp", ["relation near -> the sofa"]),
        ("a lamp between the sofa and the desk", "a lamp", ["relation between -> the sofa and the desk"]),
        ("a boy in the middle of two girls", "a boy", ["relation between -> two girls"]),
        ("a calf following the cow", "a calf", ["relation following -> the cow"]),
        ("a cow leading the calf", "a cow", ["relation leading -> the calf"]),
        ("the boy who enters", "the boy", ["time enters"]),
        ("the dog that leaves the yard", "the dog", ["time leaves"]),
        ("a boat furthest to the left", "a boat", ["order left:1"]),
        ("a boy on the right side side of the group", "a boy", ["place right"]),
        ("a boat that leaves", "a boat", ["time leaves"]),
        ("a boat turning", "a boat", ["motion turning"]),
        ("a tree that leaves fall from", "a tree that leaves fall", []),
        ("the boy leaving the room", "the boy", ["time leaves"]),
        ("a boat seen at first", "a boat seen", ["time first"]),
        ("the boy who is finally seen", "the boy seen", ["time last"]),
        ("a van stops then turns left", "a van stops", ["time then", "motion turning", "motion left"]),
        ("a boy without a cap", "a boy", ["not a cap"]),
        ("a boy not in red", "a boy", ["not in red"]),
    ],
)
def test_each_kind_and_value(text, head, expected):
    assert (read(text).head, clues(text)) == (head, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A gaze, parts and compounds say nothing.
        ("a cat looking to the left", []),
        ("a doll facing the right", []),
        ("the left hand of a boy", []),
        ("a crate at the back of a lorry", []),
        ("a swimming pool", []),
        # An order, not a motion from the right; a motion, not a place.
        ("the second diver from the right", ["order right:2"]),
        ("a diver swimming towards the top", ["motion up"]),
        # What a body does in place is CLIP's.
        ("a boy eating an apple", []),
        ("a girl waving", []),
    ],
)
def test_what_decides_between_readings(text, expected):
    assert clues(text) == expected


@pytest.mark.parametrize("verb", ["worn", "weared"])
def test_in_a_passive_the_small_thing_is_the_head_and_the_place_is_the_bearers(verb):
    reading = read(f"a scarf is {verb} by the woman on the left")
    assert reading.head == "a scarf"
    assert clues(f"a scarf {verb} by the woman on the left") == ["relation on -> the woman on the left"]
    assert [(c.kind, c.value) for c in read(reading.clues[0].other).clues] == [("place", "left")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the forth mug from the left", ["order left:4"]),
        ("a mug infront of the plate", ["relation in front of -> the plate"]),
        ("the mug in the midle", ["place middle"]),
        ("a boy on the rihgt", ["place right"]),
        ("a light lamp", []),
        ("a jug between two skaters", ["relation between -> two skaters"]),
    ],
)
def test_slips(text, expected):
    assert clues(text) == expected


def test_another_is_of_the_heads_own_kind_and_a_named_thing_is_not():
    assert read("a cup behind another").clues[0].own_kind
    assert not read("a cup behind the jug").clues[0].own_kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What is steered or moved is CLIP's; who goes along by it is not.
        ("a boy riding a donkey", []),
        ("a woman driving her van", []),
        ("a boy riding on a donkey", ["motion moving", "relation on -> a donkey"]),
        ("a girl moving her doll", []),
        ("a frog mounting another", ["relation on -> another"]),
        # What lies in a hand or on a part of somebody is theirs, and with it what is said of them.
        ("a mug in the hand of the girl on the left", ["relation near -> the girl on the left"]),
        ("a mug in a girl's hand", ["relation near -> a girl"]),
        ("a girl with a mug in the left hand", []),
        ("a scarf on the neck of a man running", ["relation on -> a man running"]),
        ("a sack on the back of the donkey", ["relation on -> the donkey"]),
        ("a badge on his jacket", []),
        ("a rope around the neck of a calf on the left", ["relation on -> the neck of a calf on the left"]),
        # Of several words for one motion, its direction counts.
        ("a seal swimming in the bay and swimming away", ["motion away"]),
        ("a lorry driving up a steep hill", ["motion up"]),
        ("a lorry driving down the road", ["motion moving"]),
        ("a boy walking to the gate", ["motion toward -> the gate"]),
        ("a boy walking in the yard towards the gate", ["motion toward -> the gate"]),
        ("a boy coming near the gate", ["motion toward -> the gate"]),
        # A clause about the other thing is the other thing's.
        ("a dog next to a man who is walking", ["relation next to -> a man"]),
        ("a girl holding a cat that is on the left", []),
        ("a boat in front of it", []),
        ("a car with smoke coming out of the back", []),
        ("a dog chewing on a bone", []),
        ("the last boat on the left", ["order left:1"]),
        ("a boat at the down right", ["place bottom", "place right"]),
        ("a girl looking down and to the left", []),
        ("a goose surrounded by other geese", ["relation between -> other geese"]),
        ("a bowl by the window", ["relation next to -> the window"]),
        ("a bowl painted by the girl", []),
        ("a lamp hanging from the ceiling", ["motion still"]),
        ("a pair of glasses", []),
        ("a pair of swans", ["number group"]),
        ("all horses", ["number all"]),
        ("there is a boat", []),
    ],
)
def test_what_belongs_to_whom(text: str, expected: list[str]) -> None:
    assert clues(text) == expected


def test_words_are_used_or_left():
    reading = read("a red cup on the left with a handle")
    assert reading.used == ("on the left",)
    assert reading.left == ("a red cup", "with a handle")
    assert reading.head == "a red cup with a handle"


def holds(text):
    reading = read(text)
    assert bool(reading.head) == bool(text.strip())
    for clue in reading.clues:
        assert clue.kind in KINDS
        assert clue.value
        assert clue.words
        assert clue.words in text
        assert clue.other in text
    for stretch in (*reading.used, *reading.left):
        assert stretch in text


@given(st.text())
def test_any_text_is_read(text):
    holds(text)


WORDS = "the a another second left right top hand of from on to middle walking looking worn by not then 2 , is".split()


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
def test_any_order_of_known_words_is_read(text):
    holds(text)


@pytest.mark.skipif(
    not all(path.is_file() for path in LISTS), reason="no real expressions beside the checkout"
)
def test_every_real_expression_is_read():
    for path in LISTS:
        for video in json.loads(path.read_text("utf-8"))["videos"].values():
            for entry in video["expressions"].values():
                holds(entry["exp"])


def test_reading_needs_no_torch():
    code = "import sys, carvid.words as w; w.read('a cup'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not all(path.is_file() for path in LISTS), reason="the real lists are not here")
def test_real_expressions_are_read_as_two_readers_read_them() -> None:
    videos = {path.parents[2].name: json.loads(path.read_text("utf-8"))["videos"] for path in LISTS}
    right = Counter()
    for row in json.loads(BY_HAND.read_text("utf-8")):
        text = videos[row["list"]][row["video"]]["expressions"][row["expression"]]["exp"]
        found = [[clue.kind, "" if clue.kind == "not" else clue.value] for clue in read(text).clues]
        right[row["draw"]] += sorted(found) == sorted(row["clues"])
    # The grammar was mended with the first two draws, not with the third.
    assert right == {1: 118, 2: 115, 3: 112}


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("the cars on the left", True),
        ("red mugs with handles on the right", True),
        ("the people in the background", True),
        ("the geese walking to the left", True),
        ("the car on the left", False),
        ("a car behind the vans", False),
        ("the bus on the left", False),
        ("the glasses on the right", False),
        ("the boy's kite on the left", False),
        ("the man with keys on the left", False),
        ("the largest", False),
        ("", False),
    ],
)
def test_a_plural_means_several(text: str, several: bool) -> None:
    assert read(text).several == several
