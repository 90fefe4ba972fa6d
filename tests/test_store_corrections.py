"""Corrections by hand: written beside the model's masks, read in their place, kept when a video is labelled anew."""

from __future__ import annotations

import re
import sqlite3
import threading
import tracemalloc
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import InputError, UsageError
from carvid.media.rle import encode_rle
from carvid.store.agreement import agree, register
from carvid.store.corrections import Change, Corrections
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.rows import Annotation
from carvid.store.schema import DATABASE
from carvid.store.seen import SeenMask, StaleRevisionError
from carvid.store.task import VideoRequest
from tests.labelled import Labelled, scene, write_dataset
from tests.test_store_database import CAR, DOG, NONE, grid, label, result

VIDEO = VideoRequest("a.mp4", "/in/a.mp4", ("the red car", "a dog"))
FIXED = grid("....", ".#..", ".###")


def relabel(
    folder: Path, video: VideoRequest = VIDEO, *, size: int = 1, indices: Sequence[int] = (0, 1)
) -> None:
    """Label the video with CAR for the first query and DOG for the second, each pixel `size` px wide."""
    masks = [np.kron(mask, np.ones((size, size))) > 0 for mask in (CAR, DOG)]
    with Ledger(folder, "me") as ledger:
        register(ledger, [video], replace=True)
        task = ledger.claim(60)
        assert task is not None
        assert label(ledger, task, [result(index, masks, [0.5, 0.75]) for index in indices])


def throw_away(folder: Path) -> None:
    """What --overwrite does when the settings are others."""
    with Ledger(folder, "me") as ledger:
        agree(ledger, {}, "before", replace=True)
        agree(ledger, {}, "after", replace=True)


def frame(folder: Path, index: int = 0) -> tuple[Annotation, ...]:
    with open_dataset(folder) as dataset:
        ((_, annotations),) = dataset.annotations(1, between=(index, index))
        return annotations


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    relabel(tmp_path)
    return tmp_path


def test_the_newest_revision_is_read_and_the_others_stay(dataset: Path) -> None:
    with Corrections(dataset) as corrections:
        assert corrections.correct(1, 0, 1, FIXED, expected_revision=0) == 1
        car, dog = frame(dataset)
        np.testing.assert_array_equal(car.mask(), FIXED)
        assert (car.object_id, car.query_id, car.revision, car.source) == (1, 1, 1, "hand")
        assert car.is_corrected
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", car.created or "")
        assert (car.box_xywh, car.area_px, car.score, car.present) == ((1, 1, 3, 2), 4, None, True)
        assert car.proposal_iou is None
        assert (dog.revision, dog.source, dog.score) == (0, "model", 0.75)
        assert corrections.correct(1, 0, 1, NONE, expected_revision=1) == 2
    car, dog = frame(dataset)
    assert (car.revision, car.box_xywh, car.area_px, car.present) == (2, None, 0, False)
    assert frame(dataset, 1)[0].revision == 0
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        kept = connection.execute(
            "SELECT revision, source, area_px FROM annotations WHERE frame_index = 0 AND object_id = 1"
        ).fetchall()
    assert kept == [(0, "model", 4), (1, "hand", 4), (2, "hand", 0)]


def test_a_stale_revision_is_refused(dataset: Path) -> None:
    with Corrections(dataset) as first, Corrections(dataset) as second:
        assert first.correct(1, 0, 2, FIXED, expected_revision=0) == 1
        with pytest.raises(StaleRevisionError, match=r"at revision 1, not 0: .*read it again") as told:
            second.correct(1, 0, 2, CAR, expected_revision=0)
        assert told.value.exit_code == 2
        np.testing.assert_array_equal(frame(dataset)[1].mask(), FIXED)
        assert second.correct(1, 0, 2, CAR, expected_revision=1) == 2


def test_of_many_at_once_one_is_written(dataset: Path) -> None:
    outcomes: list[object] = []

    def correct() -> None:
        with Corrections(dataset) as corrections:
            try:
                outcomes.append(corrections.correct(1, 0, 1, FIXED, expected_revision=0))
            except StaleRevisionError:
                outcomes.append("stale")

    threads = [threading.Thread(target=correct) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["1", *["stale"] * 5]


@pytest.mark.parametrize(
    ("place", "mask", "said"),
    [
        ((1, 0, 3), CAR, "there is no object 3 in frame 0 of video 1"),
        ((1, 7, 1), CAR, "there is no object 1 in frame 7 of video 1"),
        ((9, 0, 1), CAR, "there is no object 1 in frame 0 of video 9"),
        ((1, 0, 1), CAR[:2], r"bool of shape \(2, 4\); expected bool of shape \(3, 4\)"),
        ((1, 0, 1), CAR.astype(np.uint8), r"is uint8 .* expected bool"),
    ],
)
def test_what_cannot_be_corrected(
    dataset: Path, place: tuple[int, int, int], mask: np.ndarray, said: str
) -> None:
    with Corrections(dataset) as corrections, pytest.raises(UsageError, match=said):
        corrections.correct(*place, mask, expected_revision=0)
    assert [annotation.revision for annotation in frame(dataset)] == [0, 0]


def test_many_changes_are_made_together_or_not_at_all(dataset: Path) -> None:
    with Corrections(dataset) as corrections:
        changes = [
            Change(SeenMask(0, 1, 0), FIXED),
            Change(SeenMask(1, 1, 0), encode_rle(NONE)),
            Change(SeenMask(1, 2, 0), encode_rle(FIXED)),
        ]
        assert corrections.correct_all(1, changes) == [1, 1, 1]
        np.testing.assert_array_equal(frame(dataset, 1)[1].mask(), FIXED)
        assert (frame(dataset, 1)[1].box_xywh, frame(dataset, 1)[1].area_px) == ((1, 1, 3, 2), 4)
        assert (frame(dataset, 1)[0].box_xywh, frame(dataset, 1)[0].present) == (None, False)
        again = [Change(SeenMask(0, 2, 0), CAR), *changes[:2]]
        with pytest.raises(
            StaleRevisionError, match=r"object 1 in frame 0 .* revision 1, not 0, and 1 more"
        ) as told:
            corrections.correct_all(1, again)
        assert told.value.stale == (SeenMask(0, 1, 0), SeenMask(1, 1, 0))
        assert frame(dataset)[1].revision == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            [Change(SeenMask(0, 1, 0), CAR), Change(SeenMask(0, 1, 0), DOG)],
            "object 1 in frame 0 .* there twice",
        ),
        ([Change(SeenMask(0, 1, 0), encode_rle(CAR[:2]))], r"is of \(2, 4\) px; expected \(3, 4\)"),
        ([Change(SeenMask(0, 1, 0), {"size": [3, 4], "counts": "99"})], "is damaged: run-length code"),
        ([Change(SeenMask(0, 2, 0), CAR), Change(SeenMask(5, 1, 0), CAR)], "no object 1 in frame 5"),
    ],
)
def test_of_changes_that_cannot_all_be_made_none_is(dataset: Path, changes: list[Change], said: str) -> None:
    with Corrections(dataset) as corrections, pytest.raises(UsageError, match=said):
        corrections.correct_all(1, changes)
    assert [annotation.revision for annotation in frame(dataset)] == [0, 0]


def test_the_models_mask_is_put_back(dataset: Path) -> None:
    (before, _) = frame(dataset)
    with Corrections(dataset) as corrections:
        corrections.correct(1, 0, 1, FIXED, expected_revision=0)
        assert corrections.correct_all(1, [Change(SeenMask(0, 1, 1), None)]) == [2]
        with open_dataset(dataset) as opened:
            assert opened.corrected(1) == 0
        assert frame(dataset)[0] == replace(before, revision=2)
        # Whatever the model says by then counts.
        with Ledger(dataset, "me") as ledger:
            agree(ledger, {}, "before", replace=True)
            agree(ledger, {}, "after", replace=True)
            task = ledger.claim(60)
            assert task is not None
            assert label(ledger, task, [result(0, [DOG, CAR], [0.25, 0.75])])
        again = frame(dataset)[0]
        assert (again.revision, again.source, again.score) == (2, "model", 0.25)
        np.testing.assert_array_equal(again.mask(), DOG)
        assert corrections.correct(1, 0, 1, FIXED, expected_revision=2) == 3
    with open_dataset(dataset) as opened:
        assert opened.corrected(1) == 1


def test_where_there_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no annotations\.sqlite"):
        Corrections(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_correction_outlives_the_labels_it_corrects(dataset: Path) -> None:
    with Corrections(dataset) as corrections:
        corrections.correct(1, 0, 1, FIXED, expected_revision=0)
        throw_away(dataset)
        with pytest.raises(UsageError, match="or it is not labelled"):
            corrections.correct(1, 0, 1, CAR, expected_revision=1)
    with open_dataset(dataset) as opened:
        assert list(opened.annotations(1)) == list(opened.objects(1)) == []
    relabel(dataset)
    np.testing.assert_array_equal(frame(dataset)[0].mask(), FIXED)
    assert [annotation.revision for annotation in frame(dataset)] == [1, 0]


def test_a_correction_is_not_read_for_another_query_frame_or_size(dataset: Path) -> None:
    def revisions() -> list[list[int]]:
        with open_dataset(dataset) as opened:
            return [[each.revision for each in found] for _, found in opened.annotations(1)]

    with Corrections(dataset) as corrections:
        corrections.correct(1, 1, 2, FIXED, expected_revision=0)
    assert revisions() == [[0, 0], [0, 1]]
    # The second query is another one now; a third one changes nothing.
    relabel(dataset, VideoRequest("a.mp4", "/in/a.mp4", ("the red car", "a cat")))
    assert revisions() == [[0, 0], [0, 0]]
    relabel(dataset)
    assert revisions() == [[0, 0], [0, 1]]
    throw_away(dataset)
    relabel(dataset, indices=(0, 2))
    assert revisions() == [[0, 0], [0, 0]]
    throw_away(dataset)
    relabel(dataset, size=2)
    assert revisions() == [[0, 0], [0, 0]]
    # A new one comes after those that are not read.
    with Corrections(dataset) as corrections:
        assert corrections.correct(1, 1, 2, np.ones((6, 8), np.bool_), expected_revision=0) == 2
    assert revisions() == [[0, 0], [0, 2]]


def test_a_correction_has_its_pixels_to_itself(dataset: Path) -> None:
    # The model gave the two pixels that both hold to the car; now they are the dog's.
    car, dog = frame(dataset)
    np.testing.assert_array_equal(dog.label_mask(), grid("....", "...#", "...#"))
    with Corrections(dataset) as corrections:
        corrections.correct(1, 0, 2, DOG, expected_revision=0)
        car, dog = frame(dataset)
        np.testing.assert_array_equal(dog.label_mask(), DOG)
        np.testing.assert_array_equal(car.label_mask(), grid("....", ".#..", ".#.."))
        np.testing.assert_array_equal(car.mask(), CAR)
        assert dog.label_rle is dog.rle


def test_memory_does_not_grow_with_the_corrections(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        masks = scene(count, 24, 70)
        dataset = write_dataset(
            tmp_path / f"{count}", [Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b", "c"), masks)]
        )
        tracemalloc.start()
        with Corrections(dataset) as corrections:
            for index in range(count):
                corrections.correct(1, index, 1, masks[index, 1], expected_revision=0)
        with open_dataset(dataset) as opened:
            assert sum(found[0].is_corrected for _, found in opened.annotations(1)) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    # One mask of each of these 100 frames alone would be 168,000 bytes.
    assert peak(120) - peak(20) < 84_000
