"""Ordinals in display order, with and without damage."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from carvid.stream.display_order import DisplayOrder
from carvid.stream.source import Damage

Item = tuple[int, str] | Damage


def test_a_gap_is_placed_by_timestamps() -> None:
    # Decode order I0 P4 B2 B1 B3, I5; B2 is damaged while P4 waits in the decoder.
    order: DisplayOrder[str] = DisplayOrder()
    order.sent(0)
    items: list[Item] = list(order.decoded(0, "I0"))
    order.sent(4)
    order.sent(2)
    items += order.broken(2, "hole", [(4, "P4")])
    order.skipped(1)
    order.skipped(3)
    order.sent(5)
    items += order.decoded(5, "I5")
    items += order.finished(None, [])
    assert items == [(0, "I0"), Damage(1, 3, "hole"), (4, "P4"), (5, "I5")]


def test_frames_sent_after_a_damaged_one_are_not_trusted() -> None:
    order: DisplayOrder[str] = DisplayOrder()
    for pts in (0, 1, 2):
        order.sent(pts)
    items: list[Item] = list(order.decoded(0, "0"))
    items += order.broken(1, "hole", [(2, "2, drawn from 1")])
    items += order.finished(None, [])
    assert items == [(0, "0"), Damage(1, 2, "hole")]


def test_pictures_that_lean_on_the_lost_ones_count_as_lost() -> None:
    # Open group: after key frame 6, pictures 4 and 5 are shown before it and never come out.
    order: DisplayOrder[str] = DisplayOrder()
    order.sent(3)
    assert list(order.broken(3, "hole", [])) == []
    for pts in (6, 4, 5):
        order.sent(pts)
    assert list(order.decoded(6, "6")) == [Damage(0, 2, "hole"), (3, "6")]


def test_a_cut_leaves_the_end_open() -> None:
    order: DisplayOrder[str] = DisplayOrder()
    order.sent(0)
    items: list[Item] = list(order.decoded(0, "0"))
    order.sent(1)
    items += order.broken(1, "half a frame", [])
    items += order.finished("half a frame", [])
    assert items == [(0, "0"), Damage(1, None, "half a frame")]
    whole: DisplayOrder[str] = DisplayOrder()
    whole.sent(0)
    assert list(whole.decoded(0, "0")) + list(whole.finished("ends early", [])) == [
        (0, "0"),
        Damage(1, None, "ends early"),
    ]


def test_frames_after_a_cut_that_cannot_be_numbered_are_left_out() -> None:
    # Decode order I0 B1 P4 B2 | B3: the file ends before B3, and nothing says that frame 3 is missing.
    order: DisplayOrder[str] = DisplayOrder()
    items: list[Item] = []
    for pts in (0, 1):
        order.sent(pts)
        items += order.decoded(pts, str(pts))
    order.sent(4)
    order.sent(2)
    items += order.finished("ends early", [(2, "2"), (4, "4")])
    assert items == [(0, "0"), (1, "1"), (2, "2"), Damage(3, None, "ends early")]


def test_without_timestamps_the_saved_frames_come_first() -> None:
    order: DisplayOrder[str] = DisplayOrder()
    for _ in range(3):
        order.sent(None)
    items: list[Item] = list(order.decoded(None, "a"))
    items += order.broken(None, "hole", [(None, "b")])
    order.skipped(None)
    order.sent(None)
    items += order.decoded(None, "c")
    assert items == [(0, "a"), (1, "b"), Damage(2, 3, "hole"), (4, "c")]


def _simulate(shown: list[int], broken: set[int], keys: set[int], delay: int) -> Iterator[Item]:
    """A decoder that shows, of the packets it holds, the earliest, once it holds more than `delay`."""
    order: DisplayOrder[str] = DisplayOrder()
    held: list[int] = []
    waiting = False
    for at, pts in enumerate(shown):
        if waiting and at not in keys:
            order.skipped(pts)
            continue
        waiting = False
        order.sent(pts)
        if at in broken:
            yield from order.broken(pts, "hole", [(other, str(other)) for other in sorted(held)])
            held, waiting = [], True
            continue
        held.append(pts)
        if len(held) > delay:
            earliest = min(held)
            held.remove(earliest)
            yield from order.decoded(earliest, str(earliest))
    for pts in sorted(held):
        yield from order.decoded(pts, str(pts))
    yield from order.finished(None, [])


@given(
    groups=st.lists(st.permutations(range(1, 5)), min_size=1, max_size=4),
    broken=st.sets(st.integers(0, 19), max_size=4),
)
def test_every_frame_keeps_its_ordinal_and_every_other_is_reported(
    groups: list[list[int]], broken: set[int]
) -> None:
    # Closed groups of five: a key frame, then four pictures in any decode order.
    shown = [5 * g + k for g, rest in enumerate(groups) for k in (0, *rest)]
    keys = set(range(0, len(shown), 5))
    items = list(_simulate(shown, broken, keys, delay=4))
    frames = [item for item in items if not isinstance(item, Damage)]
    assert all(str(index) == name for index, name in frames)
    lost: set[int] = set()
    for item in items:
        if isinstance(item, Damage):
            assert item.last_frame is not None
            lost |= set(range(item.first_frame, item.last_frame + 1))
    assert lost == set(range(len(shown))) - {index for index, _ in frames}
    first_frames = [item.first_frame if isinstance(item, Damage) else item[0] for item in items]
    assert first_frames == sorted(first_frames)
