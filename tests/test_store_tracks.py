"""Tracks in a dataset: written as they are seen, read with what stands for them where they are not."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import InputError, UsageError
from carvid.evidence import Evidence, FrameOrigin
from carvid.result import FrameResult
from carvid.store.agreement import register
from carvid.store.corrections import Corrections
from carvid.store.database import open_dataset
from carvid.store.ledger import Ledger
from carvid.store.rows import FrameRow, Query, VideoObject
from carvid.store.schema import DATABASE
from carvid.store.seen import StaleRevisionError
from carvid.store.task import VideoRequest
from tests import tracked
from tests.test_store_database import CAR, label, result

VIDEO = VideoRequest("a.mp4", "/in/a.mp4", tracked.QUERIES)


def write(folder: Path, results: Sequence[FrameResult], video: VideoRequest = VIDEO) -> Path:
    with Ledger(folder, "me") as ledger:
        register(ledger, [video])
        task = ledger.claim(60)
        assert task is not None
        assert label(ledger, task, results)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write(tmp_path, tracked.results())


def damage(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.execute(statement)
        connection.commit()


def test_objects_are_those_seen_and_queries_those_asked_for(dataset: Path) -> None:
    car, unicorn, dog = (Query(i, text) for i, text in enumerate(tracked.QUERIES, 1))
    with open_dataset(dataset) as opened:
        assert list(opened.queries(1)) == [car, unicorn, dog]
        assert list(opened.objects(1)) == [
            VideoObject(1, car, is_track=True),
            VideoObject(2, dog, is_track=True),
            VideoObject(3, car, is_track=True),
        ]


def test_a_frame_has_an_annotation_for_each_track_and_a_row_for_those_in_it(dataset: Path) -> None:
    with open_dataset(dataset) as opened:
        frames = list(opened.annotations(1))
        assert list(opened.annotations(1, between=(1, 1))) == [frames[1]]
    for (_, found_here), row in zip(frames, tracked.ROWS, strict=True):
        assert [(each.object_id, each.query_id) for each in found_here] == [(1, 1), (2, 3), (3, 1)]
        wanted = tracked.masks_of(row)
        for each in found_here:
            found = wanted.get(each.object_id, np.zeros((2, 6), np.bool_))
            np.testing.assert_array_equal(each.mask(), found)
            np.testing.assert_array_equal(each.label_mask(), found)
            assert each.present == (each.object_id in wanted)
            assert each.score == (tracked.SCORES[each.object_id] if each.present else None)
            assert (each.revision, each.source, each.proposal_iou) == (0, "model", None)
    (_, (gone, *_)) = frames[1]
    assert (gone.box_xywh, gone.area_px) == (None, 0)
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        rows = connection.execute("SELECT frame_index, object_id FROM annotations").fetchall()
    assert rows == [(0, 1), (0, 2), (1, 2), (2, 1), (2, 3), (3, 1)]


def test_frames_say_where_their_masks_come_from(dataset: Path) -> None:
    with open_dataset(dataset) as opened:
        frames = list(opened.frames(1))
        assert [frame for frame, _ in opened.annotations(1)] == frames
    assert [frame.origin for frame in frames] == list(tracked.ORIGINS)
    with closing(sqlite3.connect(dataset / DATABASE)) as connection:
        rows = connection.execute("SELECT is_key, confidence, keys FROM frames").fetchall()
    assert rows == [(1, 1.0, "[0]"), (0, 0.25, "[0, 2]"), (1, 1.0, "[2]"), (0, 1 / 3, "[2]")]


def test_frames_may_come_from_others_without_tracks(tmp_path: Path) -> None:
    origin = FrameOrigin(False, 0.5, (0,))
    key = result(0, [CAR], [0.5])
    carried = FrameResult(1, None, "1", key.label_map, key.objects, origin=origin)
    write(tmp_path, [key, carried], VideoRequest("a", "/a", ("a car",)))
    with open_dataset(tmp_path) as opened:
        (first, (one,)), (second, (other,)) = opened.annotations(1)
        assert list(opened.objects(1)) == [VideoObject(1, Query(1, "a car"), is_track=False)]
    assert first == FrameRow(1, 0, "00000", 0.0, 4, 3, None)
    assert second == FrameRow(1, 1, "1", None, 4, 3, origin)
    assert (one.proposal_iou, other.proposal_iou) == (1.0, None)


def test_a_video_in_which_nothing_was_found_has_frames_and_no_objects(tmp_path: Path) -> None:
    write(tmp_path, [tracked.tracked(0, {}), tracked.tracked(1, {})])
    with open_dataset(tmp_path) as opened:
        assert list(opened.objects(1)) == []
        assert [(frame.frame_index, found) for frame, found in opened.annotations(1)] == [(0, ()), (1, ())]


def test_a_frame_without_tracks_has_those_of_the_video(tmp_path: Path) -> None:
    write(tmp_path, [tracked.tracked(0, {}), tracked.tracked(1, tracked.masks_of("11...."))])
    with open_dataset(tmp_path) as opened:
        (_, (before,)), (_, (there,)) = opened.annotations(1)
    assert (before.object_id, before.area_px, there.area_px) == (1, 0, 4)


def test_overlapping_tracks_share_the_label_map(tmp_path: Path) -> None:
    masks = {1: tracked.masks_of("111...")[1], 2: tracked.masks_of("..22..")[2]}
    evidence = Evidence((), lambda: np.ones((3, 2, 6), np.float32))
    found = tracked.tracked(0, masks)
    write(
        tmp_path,
        [FrameResult(0, None, "0", found.label_map, found.objects, evidence, found.verdicts)],
    )
    with open_dataset(tmp_path) as opened:
        ((_, (car, dog)),) = opened.annotations(1)
    np.testing.assert_array_equal(dog.mask(), masks[2])
    np.testing.assert_array_equal(dog.label_mask(), tracked.masks_of("...2..")[2])
    # A proposal is a query's and says nothing of one of its tracks.
    assert (car.proposal_iou, dog.proposal_iou) == (None, None)


def test_a_track_can_be_corrected_where_it_was_missed(dataset: Path) -> None:
    fixed = tracked.masks_of(".3....")[3]
    with Corrections(dataset) as corrections:
        assert corrections.correct(1, 1, 3, fixed, expected_revision=0) == 1
        with pytest.raises(StaleRevisionError):
            corrections.correct(1, 1, 3, fixed, expected_revision=0)
        with pytest.raises(UsageError, match="there is no object 4 in frame 1"):
            corrections.correct(1, 1, 4, fixed, expected_revision=0)
    with open_dataset(dataset) as opened:
        assert opened.corrected(1) == 1
        ((_, (car, dog, other)),) = opened.annotations(1, between=(1, 1))
    assert (car.area_px, dog.area_px, other.area_px, other.revision, other.source) == (0, 4, 2, 1, "hand")
    np.testing.assert_array_equal(other.label_mask(), fixed)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE annotations SET score = 'high'", "annotations.score is 'high', expected a number, or NULL"),
        ("UPDATE frames SET confidence = 1.5", "frames.confidence is 1.5, expected a number from 0 to 1"),
        ("UPDATE frames SET is_key = NULL", "frames.is_key is NULL, expected a whole number from 0"),
        ("UPDATE frames SET keys = '{}'", "frames.keys is a JSON dict, not a list"),
        ("UPDATE frames SET keys = '[-1]'", "keys.frame_index is -1, expected a whole number from 0"),
        ("UPDATE frames SET keys = NULL", "frames.keys is NULL, expected a text"),
    ],
)
def test_a_damaged_track_or_origin_is_refused(dataset: Path, statement: str, told: str) -> None:
    damage(dataset, statement)
    with open_dataset(dataset) as opened, pytest.raises(InputError, match=told.replace("[", r"\[")):
        list(opened.annotations(1))
