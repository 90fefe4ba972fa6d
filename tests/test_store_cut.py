"""Cutting a video into pieces: literal cases, and against an uncut video with damage anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carvid.store.cut import Cut
from carvid.stream.source import Damage, Selection


@pytest.mark.parametrize(
    ("frames", "whole", "parts"),
    [
        (4, Selection(0, None, 1), [(0, 4), (4, 8), (8, 12)]),
        (4, Selection(3, 12, 1), [(3, 7), (7, 11), (11, 12)]),
        (2, Selection(1, 12, 3), [(1, 7), (7, 12)]),
        (5, Selection(0, 5, 1), [(0, 5)]),
    ],
)
def test_pieces_lie_at_multiples_from_the_start(
    frames: int, whole: Selection, parts: list[tuple[int, int]]
) -> None:
    cut = Cut(frames)
    found = [cut.part(whole, piece) for piece in range(len(parts))]
    assert [(part.start, part.stop) for part in found] == parts
    assert {part.every for part in found} == {whole.every}
    assert cut.most(whole) == (None if whole.stop is None else len(parts))


@pytest.mark.parametrize(
    ("whole", "piece", "frame_count", "damage", "is_last"),
    [
        (Selection(0, None, 1), 1, 4, [], False),
        (Selection(0, None, 1), 1, 3, [], True),
        (Selection(0, None, 1), 1, 0, [], True),
        # A lost frame is a frame; one of another piece, or one that is not selected, is none of this one.
        (Selection(0, None, 1), 1, 3, [Damage(5, 5, "x")], False),
        (Selection(0, None, 1), 1, 1, [Damage(1, 2, "x"), Damage(5, 7, "x")], False),
        (Selection(0, None, 1), 1, 1, [Damage(1, 4, "x")], True),
        (Selection(0, None, 1), 1, 0, [Damage(2, 30, "x")], False),
        (Selection(0, None, 3), 0, 3, [Damage(3, 3, "x")], False),
        (Selection(0, None, 3), 0, 3, [Damage(4, 5, "x")], True),
        (Selection(0, None, 1), 1, 2, [Damage(6, None, "x")], True),
        # The piece before the stop is the last, however full.
        (Selection(0, 8, 1), 0, 4, [], False),
        (Selection(0, 8, 1), 1, 4, [], True),
    ],
)
def test_the_end_is_where_a_piece_comes_out_short(
    whole: Selection, piece: int, frame_count: int, damage: list[Damage], is_last: bool
) -> None:
    assert Cut(4).is_last(whole, piece, frame_count, damage) == is_last


def test_damage_over_a_seam_is_one_run() -> None:
    met = [
        [Damage(1, 1, "a"), Damage(3, 12, "b")],
        [Damage(1, 1, "a"), Damage(3, 12, "b")],
        [Damage(3, 12, "b")],
        [Damage(12, 12, "b"), Damage(14, None, "c")],
    ]
    assert Cut(4).joined(Selection(0, None, 1), met) == [
        Damage(1, 1, "a"),
        Damage(3, 12, "b"),
        Damage(14, None, "c"),
    ]


@st.composite
def _damaged(draw: st.DrawFn) -> tuple[int, list[Damage]]:
    """How many frames a video holds, and its damage; no two runs touch."""
    damage, at = [], 0
    for _ in range(draw(st.integers(0, 4))):
        first = at + draw(st.integers(0, 6))
        last = first + draw(st.integers(0, 9))
        damage.append(Damage(first, last, draw(st.sampled_from("ab"))))
        at = last + 2
    count = at + draw(st.integers(0, 9))
    if damage and draw(st.booleans()):
        damage[-1] = Damage(damage[-1].first_frame, None, "cut")
        return damage[-1].first_frame, damage
    return count, damage


def _read(count: int, damage: list[Damage], part: Selection) -> tuple[list[int], list[Damage]]:
    """The frames that reading gives, and the damage it meets: all that begins before the stop."""
    ends = [count if each.last_frame is None else each.last_frame for each in damage]
    lost = {i for each, end in zip(damage, ends, strict=True) for i in range(each.first_frame, end + 1)}
    frames = [i for i in range(count)[part.start : part.stop : part.every] if i not in lost]
    return frames, [each for each in damage if not part.ends_before(each.first_frame)]


@given(
    video=_damaged(),
    frames=st.integers(1, 7),
    start=st.integers(0, 5),
    length=st.none() | st.integers(1, 40),
    every=st.integers(1, 3),
    look_back=st.booleans(),
)
def test_pieces_up_to_the_end_are_the_whole(
    video: tuple[int, list[Damage]],
    frames: int,
    start: int,
    length: int | None,
    every: int,
    look_back: bool,
) -> None:
    count, damage = video
    whole, cut = Selection(start, None if length is None else start + length, every), Cut(frames)
    expected_frames, expected_damage = _read(count, damage, whole)
    found: list[int] = []
    met: list[list[Damage]] = []
    while True:
        part = cut.part(whole, len(met))
        shown, here = _read(count, damage, part)
        # Reading may begin shortly before a piece: then what lies further back is not met.
        if met and not look_back:
            here = [each for each in here if each.last_frame is None or each.last_frame >= part.start]
        found += shown
        met.append(here)
        if cut.is_last(whole, len(met) - 1, len(shown), here):
            break
    assert found == expected_frames
    assert cut.joined(whole, met) == expected_damage
