"""Verdicts on masks, and how far a dataset is reviewed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carvid.errors import UsageError
from carvid.store.corrections import Change, Corrections
from carvid.store.database import open_dataset
from carvid.store.reviewed import counts, next_unreviewed, progress, reviewed_masks, touched
from carvid.store.seen import RelabelledError, SeenMask, StaleRevisionError, labelling_of
from carvid.store.verdicts import Verdicts, verdicts_of
from tests.labelled import Labelled, disk, write_dataset
from tests.test_store_corrections import relabel, throw_away

SHAPE = 8, 12
SOME, NONE = disk(*SHAPE, 4, 5, 2), np.zeros(SHAPE, np.bool_)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two videos of three frames, with the queries a (two objects) and b (one object); and one that is not done."""
    masks = np.array([[SOME, NONE, SOME]] * 3)
    videos = [
        Labelled(f"{name}.mp4", tmp_path / f"{name}.mp4", ("a", "b"), masks, objects=(0, 0, 1))
        for name in "xy"
    ]
    videos.append(Labelled("z.mp4", tmp_path / "z.mp4", ("a",), masks[:, :1], status="waiting"))
    return write_dataset(tmp_path / "dataset", videos)


def states(dataset: Path, video: int = 1) -> dict[tuple[int, int], str]:
    with open_dataset(dataset) as opened:
        return touched(opened, video)


def test_a_verdict_holds_for_the_mask_that_was_seen(dataset: Path) -> None:
    with Verdicts(dataset) as verdicts, Corrections(dataset) as corrections:
        assert verdicts.give(1, [SeenMask(0, 1, 0), SeenMask(2, 3, 0)], "accepted") == 2
        assert verdicts.give(1, [SeenMask(1, 1, 0)], "rejected") == 1
        assert states(dataset) == {(0, 1): "accepted", (1, 1): "rejected", (2, 3): "accepted"}
        corrections.correct(1, 0, 1, NONE, expected_revision=0)
        assert states(dataset)[0, 1] == "corrected"
        with pytest.raises(StaleRevisionError):
            verdicts.give(1, [SeenMask(1, 1, 0), SeenMask(0, 1, 0)], "skipped")
        assert states(dataset)[1, 1] == "rejected"
        verdicts.give(1, [SeenMask(0, 1, 1)], "accepted")
        assert states(dataset)[0, 1] == "corrected"
        verdicts.give(1, [SeenMask(0, 1, 1)], "rejected")
        assert states(dataset)[0, 1] == "rejected"
        verdicts.give(1, [SeenMask(0, 1, 1)], None)
        corrections.correct_all(1, [Change(SeenMask(0, 1, 1), None)])
        assert (0, 1) not in states(dataset)
    with open_dataset(dataset) as opened:
        assert verdicts_of(opened, 1, 2) == {(3, 0): "accepted"}
    assert states(dataset, 2) == {}


def test_a_stretch_is_accepted_as_it_is_now(dataset: Path) -> None:
    with Corrections(dataset) as corrections:
        corrections.correct(1, 1, 1, NONE, expected_revision=0)
    with Verdicts(dataset) as verdicts:
        assert verdicts.give_stretch(1, 1, 1, 9, "accepted") == 2
        assert states(dataset) == {(1, 1): "corrected", (2, 1): "accepted"}
        assert verdicts.give_stretch(1, 1, 2, 2, "rejected") == 1
        assert verdicts.give_stretch(1, 1, 0, 1, None) == 2
    assert states(dataset) == {(1, 1): "corrected", (2, 1): "rejected"}
    with open_dataset(dataset) as opened:
        assert verdicts_of(opened, 1, 1) == {}


@pytest.mark.parametrize(
    ("video", "mask", "verdict", "said"),
    [
        (1, SeenMask(0, 1, 0), "good", "the verdict is 'good'; expected one of accepted, rejected, skipped"),
        (1, SeenMask(0, 7, 0), "accepted", "there is no object 7 in frame 0 of video 1"),
        (1, SeenMask(7, 1, 0), None, "there is no object 1 in frame 7 of video 1"),
        (3, SeenMask(0, 1, 0), "accepted", "or it is not labelled"),
    ],
)
def test_what_cannot_be_said(
    dataset: Path, video: int, mask: SeenMask, verdict: str | None, said: str
) -> None:
    with Verdicts(dataset) as verdicts:
        with pytest.raises(UsageError, match=said):
            verdicts.give(video, [mask], verdict)
        with pytest.raises(UsageError, match=r"the verdict is|there is no object"):
            verdicts.give_stretch(video, mask.object_id, mask.frame_index, mask.frame_index, verdict)
    assert states(dataset, video) == {}


def test_how_far_each_query_is_reviewed(dataset: Path) -> None:
    with Verdicts(dataset) as verdicts, Corrections(dataset) as corrections:
        verdicts.give(1, [SeenMask(0, 1, 0), SeenMask(0, 2, 0)], "accepted")
        verdicts.give(1, [SeenMask(0, 3, 0)], "skipped")
        corrections.correct(1, 1, 3, NONE, expected_revision=0)
    with open_dataset(dataset) as opened:
        assert {video: dict(found) for video, found in counts(opened).items()} == {
            1: {"accepted": 2, "skipped": 1, "corrected": 1}
        }
        told = {
            video: [
                (row.query, row.masks, {state: n for state, n in row.states.items() if n}) for row in rows
            ]
            for video, rows in progress(opened)
        }
        assert told == {
            1: [
                ("a", 6, {"accepted": 2, "unreviewed": 4}),
                ("b", 3, {"skipped": 1, "corrected": 1, "unreviewed": 1}),
            ],
            2: [("a", 6, {"unreviewed": 6}), ("b", 3, {"unreviewed": 3})],
        }
        assert next_unreviewed(opened, 1, -1, 0) == {"video": 1, "frame": 1, "object": 1}
        assert next_unreviewed(opened, 1, 1, 2) == {"video": 1, "frame": 2, "object": 1}
        assert next_unreviewed(opened, 1, 2, 3) == {"video": 2, "frame": 0, "object": 1}
        assert next_unreviewed(opened, 2, 2, 3) == {"video": 1, "frame": 1, "object": 1}
    with Verdicts(dataset) as verdicts:
        for video in (1, 2):
            for number in (1, 2, 3):
                verdicts.give_stretch(video, number, 0, 2, "accepted")
        verdicts.give(1, [SeenMask(1, 2, 0)], None)
    with open_dataset(dataset) as opened:
        assert next_unreviewed(opened, 1, 1, 2) == {"video": 1, "frame": 1, "object": 2}
    with Verdicts(dataset) as verdicts:
        verdicts.give(1, [SeenMask(1, 2, 0)], "skipped")
    with open_dataset(dataset) as opened:
        assert next_unreviewed(opened, 1, 1, 2) is None


def test_every_mask_is_told_with_its_state_and_score(dataset: Path) -> None:
    with Verdicts(dataset) as verdicts, Corrections(dataset) as corrections:
        corrections.correct(1, 0, 1, NONE, expected_revision=0)
        corrections.correct(1, 0, 2, SOME, expected_revision=0)
        corrections.correct_all(1, [Change(SeenMask(0, 2, 1), None)])
        verdicts.give(1, [SeenMask(1, 2, 0)], "rejected")
    with open_dataset(dataset) as opened:
        found = [
            (mask.frame_index, mask.object_id, mask.state, mask.score, mask.present)
            for mask in reviewed_masks(opened, 1)
        ]
    assert found == [
        (0, 1, "corrected", None, False),
        (0, 2, "unreviewed", 0.1, False),
        (0, 3, "unreviewed", 0.9, True),
        (1, 1, "unreviewed", 0.9, True),
        (1, 2, "rejected", 0.1, False),
        (1, 3, "unreviewed", 0.9, True),
        (2, 1, "unreviewed", 0.9, True),
        (2, 2, "unreviewed", 0.1, False),
        (2, 3, "unreviewed", 0.9, True),
    ]


def test_what_was_seen_before_a_video_was_labelled_anew_is_refused(tmp_path: Path) -> None:
    relabel(tmp_path)
    with open_dataset(tmp_path) as opened:
        seen = labelling_of(opened, 1)
    throw_away(tmp_path)
    relabel(tmp_path)
    mask = np.ones((3, 4), np.bool_)
    with Verdicts(tmp_path) as verdicts, Corrections(tmp_path) as corrections:
        with pytest.raises(RelabelledError, match="video 1 was labelled anew after it was read") as told:
            corrections.correct_all(1, [Change(SeenMask(0, 1, 0), mask)], labelling=seen)
        with pytest.raises(RelabelledError):
            verdicts.give(1, [SeenMask(0, 1, 0)], "accepted", labelling=seen)
        with pytest.raises(RelabelledError):
            verdicts.give_stretch(1, 1, 0, 1, "accepted", labelling=seen)
        assert states(tmp_path) == {}
        assert told.value.labelling == seen + 1
        assert corrections.correct_all(1, [Change(SeenMask(0, 1, 0), mask)], labelling=seen + 1) == [1]


def test_what_was_said_of_the_models_masks_goes_with_them(tmp_path: Path) -> None:
    relabel(tmp_path)
    mask = np.ones((3, 4), np.bool_)
    with Verdicts(tmp_path) as verdicts, Corrections(tmp_path) as corrections:
        corrections.correct(1, 0, 1, mask, expected_revision=0)
        verdicts.give(1, [SeenMask(0, 1, 1), SeenMask(0, 2, 0)], "rejected")
        assert states(tmp_path) == {(0, 1): "rejected", (0, 2): "rejected"}
    throw_away(tmp_path)
    relabel(tmp_path)
    assert states(tmp_path) == {(0, 1): "rejected"}
