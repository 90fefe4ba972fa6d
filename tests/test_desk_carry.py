"""A mask carried from a corrected frame, over real videos: where it lies and ends, and that nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carvid.desk.carry import carried_masks
from carvid.measures.pair import iou
from carvid.media.rle import decode_rle
from carvid.store.corrections import Corrections
from carvid.store.database import open_dataset
from tests.desk_cases import FRAMES, HEIGHT, WIDTH, make_dataset, picture, square
from tests.labelled import Labelled, write_dataset
from tests.media import write_video


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("carry"), count=1)


def carried(
    dataset: Path, frame: int, direction: str, last: int | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    with open_dataset(dataset) as opened:
        *rows, end = carried_masks(opened, 1, frame, 1, direction, last)
    return rows, end


def test_a_mask_follows_its_thing_forward_and_backward(dataset: Path) -> None:
    for direction, places in (("forward", range(13, FRAMES)), ("backward", range(11, -1, -1))):
        rows, end = carried(dataset, 12, direction)
        assert [row["frame"] for row in rows] == list(places)
        # The model's mask in frame 20 is far off; what is carried does not come from it.
        assert min(iou(decode_rle(row["rle"]), square(row["frame"])) for row in rows) > 0.8
        assert end == {"end": "last", "frame": places[-1]}
        assert all(0 <= row["confidence"] <= 1 and row["revision"] == 0 for row in rows)
    with open_dataset(dataset) as opened:
        assert opened.corrected(1) == 0


def test_it_ends_where_it_is_told_to(dataset: Path) -> None:
    rows, end = carried(dataset, 5, "forward", 8)
    assert ([row["frame"] for row in rows], end) == ([6, 7, 8], {"end": "last", "frame": 8})
    rows, end = carried(dataset, 5, "backward", 3)
    assert ([row["frame"] for row in rows], end) == ([4, 3], {"end": "last", "frame": 3})
    assert carried(dataset, FRAMES - 1, "forward") == ([], {"end": "last", "frame": FRAMES - 1})
    assert carried(dataset, 5, "forward", 5) == ([], {"end": "last", "frame": 5})


def test_it_ends_before_the_next_correction(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, count=1)
    with Corrections(dataset) as corrections:
        corrections.correct(1, 9, 1, square(9), expected_revision=0)
        corrections.correct(1, 3, 1, square(3), expected_revision=0)
        # One of another object is no end.
        corrections.correct(1, 7, 2, square(7), expected_revision=0)
    rows, end = carried(dataset, 5, "forward")
    assert ([row["frame"] for row in rows], end) == ([6, 7, 8], {"end": "corrected", "frame": 9})
    rows, end = carried(dataset, 5, "backward")
    assert ([row["frame"] for row in rows], end) == ([4], {"end": "corrected", "frame": 3})
    assert carried(dataset, 8, "forward") == ([], {"end": "corrected", "frame": 9})


def test_it_ends_at_a_cut(tmp_path: Path) -> None:
    other = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    other = np.kron(other, np.ones((8, 8, 1), np.uint8))
    path = write_video(tmp_path / "cut.mp4", [picture(t) for t in range(6)] + [other] * 6)
    masks = np.array([[square(t)] for t in range(12)])
    dataset = write_dataset(tmp_path / "dataset", [Labelled("cut.mp4", path, ("the square",), masks)])
    rows, end = carried(dataset, 2, "forward")
    assert ([row["frame"] for row in rows], end) == ([3, 4, 5], {"end": "cut", "frame": 6})


def test_frames_that_are_not_labelled_are_passed_over(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [picture(t) for t in range(FRAMES)])
    masks = np.array([[square(t)] for t in range(0, FRAMES, 5)])
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", path, ("the square",), masks)], every=5)
    rows, end = carried(dataset, 10, "forward")
    assert ([row["frame"] for row in rows], end) == ([15, 20, 25], {"end": "last", "frame": 25})
    assert min(iou(decode_rle(row["rle"]), square(row["frame"])) for row in rows) > 0.8


def test_a_reader_who_goes_away_ends_it(dataset: Path) -> None:
    with open_dataset(dataset) as opened:
        rows = carried_masks(opened, 1, 12, 1, "forward", None)
        assert next(rows)["frame"] == 13
        rows.close()
        assert list(rows) == []
