"""HOTA and IDF1 by hand on a small video, and against TrackEval on random tracks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import sqrt
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.measures.pair import iou
from carvid.measures.tracking import ALPHAS, Overlaps, TrackCounts, overlaps, track_counts, track_score
from tests.davis_cases import draw

EXACT = {"rel": 0, "abs": 1e-9}
FIGURES = {"HOTA": "hota", "DetA": "det_a", "AssA": "ass_a", "LocA": "loc_a"}
ID_FIGURES = {"IDF1": "idf1", "IDP": "id_precision", "IDR": "id_recall"}
COUNTS = {"HOTA_TP": "hits", "HOTA_FN": "misses", "HOTA_FP": "false_alarms"}
ID_COUNTS = {"IDTP": "id_hits", "IDFN": "id_misses", "IDFP": "id_false_alarms"}

LEFT, RIGHT = draw("11....", "11...."), draw("....11", "....11") * 2
BOTH = LEFT + RIGHT
SWAPPED = draw("22..11", "22..11")
HALF = draw("1.....", "1.....")
NOTHING = draw("......", "......")


def counts(truth: Sequence[np.ndarray], prediction: Sequence[np.ndarray]) -> TrackCounts:
    return track_counts([overlaps(one, other) for one, other in zip(truth, prediction, strict=True)])


def test_a_perfect_video_has_ones() -> None:
    score = track_score(counts([BOTH] * 3, [BOTH] * 3))
    assert (score.hota, score.det_a, score.ass_a, score.loc_a) == (1, 1, 1, 1)
    assert (score.idf1, score.id_precision, score.id_recall) == (1, 1, 1)


def test_labels_that_swap_in_the_last_frame_by_hand() -> None:
    found = counts([BOTH] * 4, [BOTH, BOTH, BOTH, SWAPPED])
    # Tracks 1 and 1 match in 3 frames of 4 + 4 - 3 = 5; tracks 1 and 2 in 1 of 7: 3 hits of 3/5, one of 1/7, twice.
    assert found.hits.tolist() == [8] * 19
    assert found.association == pytest.approx([2 * (3 * 3 / 5 + 1 / 7)] * 19)
    score = track_score(found)
    assert score.det_a == score.loc_a == 1
    assert score.ass_a == pytest.approx((3 * 3 / 5 + 1 / 7) / 4)
    assert score.hota == pytest.approx(sqrt((3 * 3 / 5 + 1 / 7) / 4))
    # Label 1 stands for object 1 throughout: 3 of 4 frames.
    assert (found.id_hits, found.id_misses, found.id_false_alarms) == (6, 2, 2)
    assert (score.idf1, score.id_precision, score.id_recall) == (0.75, 0.75, 0.75)


def test_half_masks_misses_and_false_alarms_by_hand() -> None:
    # Object 1: whole, half (IoU 1/2), nothing. Label 2 is there once, where nothing is.
    found = counts([LEFT] * 3, [LEFT, HALF, RIGHT])
    half = ALPHAS <= 0.5
    assert found.hits.tolist() == np.where(half, 2, 1).tolist()
    assert found.misses.tolist() == np.where(half, 1, 2).tolist()
    assert found.false_alarms.tolist() == np.where(half, 1, 2).tolist()
    score = track_score(found)
    # Track 1 of 3 frames against track 1 of 2 frames: 2 matches of 3 up to .5 (10 alphas), 1 of 4 above (9 alphas).
    assert score.ass_a == pytest.approx((10 * 2 / 3 + 9 * 1 / 4) / 19)
    assert score.det_a == pytest.approx((10 * 2 / 4 + 9 * 1 / 5) / 19)
    assert score.loc_a == pytest.approx((10 * 3 / 4 + 9 * 1) / 19)
    assert score.hota == pytest.approx((10 * sqrt(2 / 4 * 2 / 3) + 9 * sqrt(1 / 5 * 1 / 4)) / 19)
    assert (found.id_hits, found.id_misses, found.id_false_alarms) == (2, 1, 1)


@pytest.mark.parametrize(
    ("truth", "prediction", "misses", "false_alarms"), [(BOTH, NOTHING, 4, 0), (NOTHING, BOTH, 0, 4)]
)
def test_nothing_found_and_nothing_to_find(
    truth: np.ndarray, prediction: np.ndarray, misses: int, false_alarms: int
) -> None:
    found = counts([truth] * 2, [prediction] * 2)
    assert (found.id_hits, found.id_misses, found.id_false_alarms) == (0, misses, false_alarms)
    score = track_score(found)
    assert (score.hota, score.det_a, score.ass_a, score.loc_a, score.idf1) == (0, 0, 0, 1, 0)


def test_an_ignored_pixel_is_background_in_both() -> None:
    truth = draw("111...", "......")
    prediction = draw("11..22", "......")
    ignored = draw("..1.11", "......") > 0
    found = overlaps(truth, prediction, ignored)
    assert (found.true.tolist(), found.found.tolist(), found.iou.tolist()) == ([1], [1], [[1]])


def test_labels_far_apart_overlap_as_their_masks_do() -> None:
    truth, prediction = draw("1133..", "1133..") * 85, draw("1.22.4", "1.2..4") * 60
    found = overlaps(truth, prediction)
    assert (found.true.tolist(), found.found.tolist()) == ([85, 255], [60, 120, 240])
    assert found.iou.tolist() == [[iou(truth == g, prediction == p) for p in found.found] for g in found.true]
    assert found.iou.tolist() == [[2 / 4, 0, 0], [0, 3 / 4, 0]]


def random_video(seed: int, frames: int) -> list[Overlaps]:
    """Tracks that begin, end, swap and are missed; IoU in steps of 1/20, so that thresholds and ties are met."""
    random = np.random.default_rng(seed)
    true_count, found_count = random.integers(0, 6, 2)
    label_of = random.permutation(max(true_count, found_count))
    video = []
    for _ in range(frames):
        if random.random() < 0.2:
            label_of = random.permutation(label_of)
        true = np.flatnonzero(random.random(true_count) < 0.8)
        found = np.flatnonzero(random.random(found_count) < 0.8)
        twentieths = random.integers(0, 8, (len(true), len(found)))
        twentieths[label_of[true][:, None] == found] += random.integers(0, 13)
        video.append(Overlaps(true + 1, found + 1, twentieths / 20))
    return video


def as_trackeval_takes_it(video: Sequence[Overlaps]) -> dict[str, object]:
    true_ids, found_ids = (
        np.unique(np.concatenate([getattr(frame, side) for frame in video])) for side in ("true", "found")
    )
    return {
        "num_timesteps": len(video),
        "gt_ids": [np.searchsorted(true_ids, frame.true) for frame in video],
        "tracker_ids": [np.searchsorted(found_ids, frame.found) for frame in video],
        "similarity_scores": [frame.iou for frame in video],
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(found_ids),
        "num_gt_dets": sum(len(frame.true) for frame in video),
        "num_tracker_dets": sum(len(frame.found) for frame in video),
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 12)), min_size=1, max_size=3))
def test_the_figures_are_trackevals(drawn: list[tuple[int, int]]) -> None:
    trackeval = pytest.importorskip("trackeval")
    videos = [random_video(seed, frames) for seed, frames in drawn]
    ours = [track_counts(video) for video in videos]
    for metric, figures, of_counts in (
        (trackeval.metrics.HOTA({"PRINT_CONFIG": False}), FIGURES, COUNTS),
        (trackeval.metrics.Identity({"PRINT_CONFIG": False}), ID_FIGURES, ID_COUNTS),
    ):
        theirs = {
            str(place): metric.eval_sequence(as_trackeval_takes_it(video))
            for place, video in enumerate(videos)
        }
        pairs = [*zip(ours, theirs.values(), strict=True)]
        pairs.append((reduce(add, ours), metric.combine_sequences(theirs)))
        for found, expected in pairs:
            score = track_score(found)
            for name, field in figures.items():
                assert getattr(score, field) == pytest.approx(np.mean(expected[name]), **EXACT), name
            for name, field in of_counts.items():
                assert getattr(found, field) == pytest.approx(expected[name], **EXACT), name


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_the_names_of_the_labels_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, prediction = random.integers(0, 4, (2, 5, 6, 8)).astype(np.uint8)
    renamed = np.concatenate([[0], 1 + random.permutation(255)])[prediction].astype(np.uint8)
    # IDF1 is the best of all pairings of tracks; HOTA may break a tie between detections another way.
    assert counts(truth, renamed).id_hits == counts(truth, prediction).id_hits
