"""Tracks in the overlay: ids on the objects, and ids in the legend."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from carvid.media.lettering import blend_text, text_coverage
from carvid.media.palette import voc_palette
from carvid.result import FrameResult, ObjectResult, QueryVerdict
from carvid.sinks.legend import Legend
from carvid.sinks.overlay import OverlaySink
from carvid.sinks.track_ids import draw_ids
from tests.sinks_cases import read_video, square_frame

GREY = 120
# What the backdrop leaves of the grey.
DARK = 42


def result(queries: Sequence[tuple[str, Sequence[int]]], height: int, width: int) -> FrameResult:
    """A result whose queries have tracks of these ids, each without a pixel."""
    empty = np.zeros((height, width), np.bool_)
    objects = sorted((number, text) for text, ids in queries for number in ids)
    return FrameResult(
        0,
        None,
        "0",
        empty.astype(np.uint8),
        tuple(ObjectResult(number, text, empty, 0.75, True) for number, text in objects),
        verdicts=tuple(QueryVerdict(text, 0.75 if ids else 0.125, bool(ids)) for text, ids in queries),
    )


def legend(*queries: tuple[str, Sequence[int]], height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    canvas = np.full((height, width, 3), GREY, np.uint8)
    Legend([text for text, _ in queries], height, width).draw(canvas, result(queries, height, width))
    return canvas


def shows(canvas: NDArray[np.uint8], text: str, grey: int) -> bool:
    """Whether the text stands somewhere on the backdrop in letters of 11 px of that grey."""
    share = text_coverage(text, 11) / 255.0
    expected = DARK * (1 - share) + grey * share
    windows = np.lib.stride_tricks.sliding_window_view(canvas[:60, :, 0].astype(float), share.shape)
    return bool((np.abs(windows - expected).max(axis=(2, 3)) <= 1).any())


def has_colour(canvas: NDArray[np.uint8], label: int) -> bool:
    return bool((canvas == voc_palette()[label]).all(-1).sum() > 50)


def test_a_querys_row_shows_its_tracks_in_their_colours() -> None:
    canvas = legend(("car", (1, 3)), ("dog", ()), ("cat", (2,)))
    line = text_coverage("", 11).shape[0]
    first, second, third = (canvas[4 + i * line : 4 + (i + 1) * line] for i in range(3))
    assert [has_colour(first, label) for label in (1, 2, 3)] == [True, False, True]
    assert [has_colour(third, label) for label in (1, 2, 3)] == [False, True, False]
    assert not any(has_colour(second, label) for label in (1, 2, 3))
    assert shows(canvas, "0.75", 255)
    assert shows(canvas, "absent 0.12", 150)
    # The place of the query's colour is empty: its tracks have colours of their own.
    assert (first[:, :15] == DARK).all()
    # Nothing is darkened that no row needs.
    assert (canvas[4 + 3 * line + 4 :] == GREY).all()
    assert (canvas[:, 200:] == GREY).all()


def test_tracks_that_have_no_room_are_counted() -> None:
    canvas = legend(("car", range(1, 21)))
    shown = [label for label in range(1, 21) if has_colour(canvas, label)]
    assert shown == list(range(1, len(shown) + 1))
    assert 5 < len(shown) < 12
    assert shows(canvas, f"+{20 - len(shown)}", 255)
    wider = legend(("car", range(1, 21)), width=1000)
    assert all(has_colour(wider, label) for label in range(1, 21))
    assert not shows(wider, "+", 255)


@given(st.integers(1, 120), st.integers(1, 400), st.lists(st.integers(0, 40), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_tracks_fit_frames_of_any_size(height: int, width: int, counts: list[int]) -> None:
    last = 0
    queries = []
    for place, count in enumerate(counts):
        queries.append((f"query {place}", range(last + 1, last + 1 + count)))
        last += count
    assert legend(*queries, height=height, width=width).shape == (height, width, 3)


def test_an_id_stands_deepest_in_its_object() -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[10:41, 5:11] = 7  # a bar, and a square at its end
    labels[20:41, 5:36] = 7
    canvas = np.full((60, 80, 3), GREY, np.uint8)
    draw_ids(canvas, labels, [7, 9], 11)
    rows, columns = np.nonzero((canvas != GREY).any(-1))
    high, wide = text_coverage("7", 11).shape
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (high, wide)
    # The square's rows are 20 to 40; of its points as deep as any, the first is at its left.
    assert rows.min() + high // 2 == 30
    assert 15 <= columns.min() + wide // 2 <= 25
    assert canvas.max() > 200


@pytest.mark.parametrize("corner", [(0, 0), (0, 29), (19, 0), (19, 29)])
def test_an_id_stays_in_the_picture(corner: tuple[int, int]) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[corner] = 255
    canvas = np.full((20, 30, 3), GREY, np.uint8)
    draw_ids(canvas, labels, [255], 11)
    rows, columns = np.nonzero((canvas != GREY).any(-1))
    high, wide = text_coverage("255", 11).shape
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (high, wide)


def test_a_picture_smaller_than_an_id_is_filled_with_it() -> None:
    canvas = np.full((3, 2, 3), GREY, np.uint8)
    draw_ids(canvas, np.full((3, 2), 8, np.uint8), [8], 11)
    assert canvas.shape == (3, 2, 3)
    assert (canvas < GREY).any()


def test_text_is_mixed_with_what_it_lies_on() -> None:
    canvas = np.full((2, 3, 3), 100, np.uint8)
    blend_text(canvas, 1, 1, np.array([[255, 51, 255], [255, 255, 255]], np.uint8), (200, 0, 50))
    assert canvas[0].tolist() == [[100] * 3] * 3
    assert canvas[1].tolist() == [[100] * 3, [200, 0, 50], [120, 80, 90]]


def test_the_overlay_writes_ids_onto_tracks_alone(tmp_path: Path) -> None:
    frame = square_frame(0, height=96, width=128)
    mask = np.zeros((96, 128), np.bool_)
    mask[50:90, 70:120] = True
    one = (ObjectResult(1, "red", mask, 0.5, True),)
    plain = FrameResult(0, 0.0, "0", mask.astype(np.uint8), one)
    tracks = FrameResult(0, 0.0, "0", mask.astype(np.uint8), one, verdicts=(QueryVerdict("red", 0.5, True),))
    pictures = []
    for name, each in (("plain", plain), ("tracks", tracks)):
        with OverlaySink(tmp_path / f"{name}.mp4", ["red"], frame_rate=Fraction(25)) as sink:
            sink.write(frame, each)
        pictures.append(read_video(tmp_path / f"{name}.mp4")[0][0].astype(int))
    changed = np.abs(pictures[1] - pictures[0]).max(-1) > 60
    # Beside the legend, the id's place in the middle of the object is all that differs.
    rows, columns = np.nonzero(changed[45:])
    assert 60 <= rows.min() + 45 <= rows.max() + 45 <= 80
    assert 80 <= columns.min() <= columns.max() <= 110
