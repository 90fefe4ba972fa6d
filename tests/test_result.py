"""FrameResult: what users ask of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as coco

from carvid.media.palette import voc_palette
from carvid.result import FrameResult, ObjectResult
from tests.tracked import masks_of, tracked

LABELS = np.array([[0, 1, 1, 0], [0, 1, 3, 3], [0, 0, 3, 3]], np.uint8)


def result() -> FrameResult:
    masks = {1: LABELS == 1, 2: np.zeros((3, 4), bool), 3: LABELS == 3}
    queries = {1: "a car", 2: "a dog", 3: "a car"}
    scores = {1: 0.75, 2: 0.125, 3: 0.5}
    objects = tuple(ObjectResult(i, queries[i], masks[i], scores[i], bool(masks[i].any())) for i in masks)
    return FrameResult(7, 0.25, "seven", LABELS, objects)


def test_arrays_are_in_the_order_of_the_objects() -> None:
    found = result()
    assert found.masks.shape == (3, 3, 4)
    assert found.scores.tolist() == [0.75, 0.125, 0.5]
    assert found.present.tolist() == [True, False, True]
    empty = FrameResult(0, None, "a", LABELS, ())
    assert (empty.masks.shape, empty.scores.shape, empty.present.dtype) == ((0, 3, 4), (0,), np.bool_)


def test_an_object_tells_its_area_box_and_code() -> None:
    car, dog, other = result().objects
    assert (car.area_px, dog.area_px, other.area_px) == (3, 0, 4)
    assert (car.box_xywh, dog.box_xywh, other.box_xywh) == ((1, 0, 2, 2), None, (2, 1, 2, 2))
    assert car.rle["size"] == [3, 4]
    assert np.array_equal(coco.decode(car.rle), LABELS == 1)


def test_a_querys_mask_is_the_union_of_its_objects() -> None:
    by_query = result().masks_by_query
    assert list(by_query) == ["a car", "a dog"]
    assert np.array_equal(by_query["a car"], LABELS > 0)
    assert not by_query["a dog"].any()


def test_supervision_gets_the_present_objects() -> None:
    supervision = pytest.importorskip("supervision")
    detections = result().to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert detections.xyxy.tolist() == [[1, 0, 2, 1], [2, 1, 3, 2]]
    assert detections.tracker_id.tolist() == [1, 3]
    assert detections.class_id.tolist() == [0, 0]
    assert detections.data["class_name"].tolist() == ["a car", "a car"]
    assert np.array_equal(detections.mask[1], LABELS == 3)
    absent = FrameResult(0, None, "a", LABELS, result().objects[1:2])
    assert len(absent.to_supervision()) == 0


def test_plot_paints_the_labels_over_the_image() -> None:
    labels = np.zeros((5, 5), np.uint8)
    labels[1:4, 1:4] = 2
    picture = np.asarray(FrameResult(0, None, "a", labels, ()).plot(np.full((5, 5, 3), 100, np.uint8)))
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert picture[1, 1].tolist() == voc_palette()[2].tolist()
    assert picture[2, 2].tolist() == [50, 114, 50]


def test_without_verdicts_each_object_is_a_query() -> None:
    found = result()
    assert not found.has_tracks
    assert [(one.query, one.score, one.present) for one in found.queries] == [
        ("a car", 0.75, True),
        ("a dog", 0.125, False),
        ("a car", 0.5, True),
    ]
    assert found.query_masks is found.masks
    assert found.query_map is LABELS


def test_with_tracks_a_query_has_the_union_of_its_objects() -> None:
    both, gone = tracked(0, masks_of("11.332")), tracked(1, {})
    assert both.has_tracks
    assert gone.has_tracks
    assert [(one.query, one.score, one.present) for one in both.queries] == [
        ("a car", 0.75, True),
        ("a unicorn", 0.125, False),
        ("a dog", 0.5, True),
    ]
    assert both.present.tolist() == [True, True, True]
    assert both.query_masks[:, 0].astype(int).tolist() == [
        [1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert list(both.masks_by_query) == list(gone.masks_by_query) == ["a car", "a unicorn", "a dog"]
    assert both.label_map[0].tolist() == [1, 1, 0, 3, 3, 2]
    assert both.query_map[0].tolist() == [1, 1, 0, 1, 1, 3]
    assert [one.present for one in gone.queries] == [False] * 3
    assert gone.query_masks.shape == (3, 2, 6)
    assert not gone.query_masks.any()


def test_a_query_given_twice_has_its_tracks_twice() -> None:
    found = tracked(0, masks_of("11.332"))
    car, _, dog = found.verdicts or ()
    twice = replace(found, verdicts=(dog, car, car))
    assert twice.query_masks[:, 0].sum(axis=1).tolist() == [1, 4, 4]
    assert twice.query_map[0].tolist() == [2, 2, 0, 2, 2, 1]


def test_supervision_numbers_the_queries_of_tracks_as_they_were_given() -> None:
    pytest.importorskip("supervision")
    detections = tracked(0, masks_of("....22")).to_supervision()
    assert (detections.class_id.tolist(), detections.tracker_id.tolist()) == ([2], [2])
