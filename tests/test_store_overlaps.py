"""Which object a pixel goes to, on rows of pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from carvid.store.overlaps import Claim, settle

Mask = NDArray[np.bool_]


def row(text: str) -> Mask:
    return np.array([[character == "#" for character in text]])


def claim(mask: str, part: str, score: float = 0.5, corrected: str | None = None) -> Claim:
    return Claim(row(mask), row(part), score, corrected)


def settled(*claims: Claim) -> list[str]:
    return ["".join(".#"[int(pixel)] for pixel in part[0]) for part in settle(claims)]


def test_without_corrections_the_parts_are_the_models() -> None:
    assert settled(claim("###..", "#...."), claim(".###.", ".###.")) == ["#....", ".###."]


def test_a_correction_comes_before_what_the_model_gave() -> None:
    assert settled(claim("###..", "###.."), claim(".###.", "...#.", corrected="1")) == ["#....", ".###."]


def test_the_later_of_two_corrections_comes_first() -> None:
    first, second = claim("###..", "###..", corrected="1"), claim(".###.", "...#.", corrected="2")
    assert settled(first, second) == ["#....", ".###."]
    assert settled(second, first) == [".###.", "#...."]


def test_what_a_correction_gives_up_goes_to_the_highest_score_that_holds_it() -> None:
    weak, strong = claim("####.", "#....", 0.4), claim(".##..", ".....", 0.6)
    assert settled(claim("....#", ".###.", corrected="1"), weak, strong) == ["....#", "#..#.", ".##.."]


@given(st.data())
def test_parts_lie_in_their_masks_do_not_overlap_and_leave_nothing_out(data: st.DataObject) -> None:
    count, width = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    given_to = np.array(data.draw(st.lists(st.integers(-1, count - 1), min_size=width, max_size=width)))
    claims = []
    for i in range(count):
        more = np.array(data.draw(st.lists(st.booleans(), min_size=width, max_size=width)))
        part = given_to == i
        corrected = data.draw(st.none() | st.sampled_from("12"))
        claims.append(Claim((more | part)[None], part[None], data.draw(st.floats(0, 1)), corrected))
    parts = np.stack(settle(claims))
    masks = np.stack([each.mask for each in claims])
    assert (parts <= masks).all()
    np.testing.assert_array_equal(parts.sum(axis=0), masks.any(axis=0))
