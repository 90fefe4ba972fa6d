"""review.csv: the order of its rows, what is in them, and the command."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import InputError, OutputError, UsageError
from carvid.review import review_dataset
from tests.labelled import THETA, Labelled, disk, scene, write_dataset
from tests.test_export_output import run


def steady(count: int) -> np.ndarray:
    """(count, 2, H, W): two disks that stay."""
    two = np.stack([disk(20, 30, 10, 8, 5), disk(20, 30, 10, 22, 5)])
    return np.repeat(two[None], count, axis=0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    masks = steady(5)
    masks[2, 1] = False
    scores = [[0.9, 0.9] for _ in range(5)]
    scores[4][0] = 0.35
    proposal_ious: list[list[float | None]] = [[1.0, 1.0] for _ in range(5)]
    proposal_ious[0][1] = 0.4
    nasty = '=a "b",\nc'
    return write_dataset(
        tmp_path / "dataset",
        [
            Labelled("b.mp4", tmp_path / "b.mp4", ("a", nasty), masks, scores, proposal_ious),
            Labelled("a.mp4", tmp_path / "a.mp4", ("a", nasty), steady(2)),
            Labelled("c.mp4", tmp_path / "c.mp4", ("a", nasty), steady(2), status="running"),
        ],
    )


def test_the_most_doubtful_frames_come_first(dataset: Path) -> None:
    summary = review_dataset(dataset)
    assert (summary.path, summary.frames, summary.rows) == (str(dataset / "review.csv"), 7, 7)
    assert summary.skipped == ("video 3 (c.mp4) is running",)
    found = rows(dataset / "review.csv")
    order = [(row["video_id"], row["frame_index"], row["total"]) for row in found]
    assert order == [
        ("1", "2", "0.500000"),  # the second disk is gone: its area changed by 1, and it flickers by 1
        ("1", "3", "0.250000"),  # it is back: its area changed by 1
        ("1", "4", "0.187500"),  # score 0.35: 1 - 0.05 / 0.2 = 0.75 near theta
        ("1", "0", "0.150000"),  # the proposal agrees with the mask to 0.4
        ("1", "1", "0.000000"),
        ("2", "0", "0.000000"),
        ("2", "1", "0.000000"),
    ]
    assert found[0] == {
        "rank": "1",
        "total": "0.500000",
        "near_theta": "0.000000",
        "area_change": "1.000000",
        "flicker": "1.000000",
        "disagreement": "0.000000",
        "video_id": "1",
        "path": "b.mp4",
        "frame_index": "2",
        "name": "00002",
        "pts_seconds": "0.080000",
        "query": '=a "b",\nc',
        "score": "0.900000",
        "present": "0",
        "area_px": "0",
    }
    assert found[2]["query"] == "a"
    assert THETA == 0.3


def test_it_is_the_same_every_time_and_top_is_its_beginning(dataset: Path, tmp_path: Path) -> None:
    review_dataset(dataset)
    first = (dataset / "review.csv").read_bytes()
    review_dataset(dataset)
    assert (dataset / "review.csv").read_bytes() == first
    summary = review_dataset(dataset, tmp_path / "new" / "top.csv", top=2)
    assert (summary.frames, summary.rows) == (7, 2)
    assert rows(tmp_path / "new" / "top.csv") == rows(dataset / "review.csv")[:2]


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        one = Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b", "c"), scene(count, 24, 70))
        dataset = write_dataset(tmp_path / f"{count}", [one])
        tracemalloc.start()
        review_dataset(dataset)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    # One mask of each of these 450 frames alone would be 756,000 bytes.
    assert peak(600) - peak(150) < 378_000


def test_errors(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="top is 0"):
        review_dataset(dataset, top=0)
    with pytest.raises(InputError, match=r"holds no annotations\.sqlite"):
        review_dataset(tmp_path / "nothing")
    waiting = Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b"), steady(1), status="waiting")
    with pytest.raises(InputError, match=r"no video .* is done"):
        review_dataset(write_dataset(tmp_path / "waiting", [waiting]))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        review_dataset(dataset, tmp_path / "file" / "review.csv")


def test_the_command(dataset: Path) -> None:
    done = run("review", dataset, "--top", "3")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"ranked 7 frames, wrote 3: {dataset / 'review.csv'}\n"
    assert done.stderr == "carvid: not ranked, video 3 (c.mp4) is running\n"
    assert run("review", dataset / "nothing").exit_code == 3
    assert run("review", dataset, "-o", "/proc/nothing/review.csv").exit_code == 4
