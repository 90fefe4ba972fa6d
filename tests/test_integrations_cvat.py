"""CVAT's functions, run by the code of cvat-sdk that would run them for a server."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import UsageError
from carvid.integrations.cvat import create
from carvid.integrations.cvat.detect import DetectionFunction
from carvid.integrations.cvat.track import create as create_tracker
from carvid.integrations.other_package import needed
from carvid.integrations.phrases import split_queries
from carvid.serve.segment import ImageSegmenter
from carvid.shapes.scenes import moving_clip
from tests.service_cases import ABSENT, BLUE, HEIGHT, RED, WIDTH, iou, scene, shapes_model

aa = pytest.importorskip("cvat_sdk.auto_annotation")
driver = pytest.importorskip("cvat_sdk.auto_annotation.driver")
masks = pytest.importorskip("cvat_sdk.masks")

TASK_LABELS = [
    SimpleNamespace(id=40 + i, name=name, type="mask", attributes=[], sublabels=[])
    for i, name in enumerate((ABSENT, BLUE, RED))
]


def function() -> DetectionFunction:
    return DetectionFunction(ImageSegmenter(shapes_model()), [RED, BLUE, ABSENT])


def annotated(made: Any, *, labels: list[Any] = TASK_LABELS, **asked: Any) -> list[Any]:
    """What `annotate_task` would upload for frame 12: checked against the spec, with the task's label ids."""
    assert isinstance(made.spec, aa.DetectionFunctionSpec)
    mapper = driver._AnnotationMapper(
        logging.getLogger(),
        made.spec.labels,
        labels,
        allow_unmatched_labels=False,
        conv_mask_to_poly=asked.get("conv_mask_to_poly", False),
    )
    context = driver._DetectionFunctionContextImpl(frame_name="12.png", **asked)
    tags, shapes = mapper.validate_and_remap(made.detect(context, Image.fromarray(scene().image)), 12)
    assert tags == []
    return list(shapes)


def test_masks_go_to_the_tasks_labels() -> None:
    red, blue = annotated(function())
    assert (red.label_id, blue.label_id) == (42, 41)
    assert (red.frame, str(red.type), str(red.source)) == (12, "mask", "auto")
    assert 0.2 < red.score <= 1
    for shape, truth in zip((red, blue), scene().masks, strict=True):
        mask = masks.decode_mask(shape.points, image_width=WIDTH, image_height=HEIGHT)
        assert iou(mask, truth) > 0.7


def test_only_what_is_sure_enough_is_given() -> None:
    scores = [shape.score for shape in annotated(function())]
    assert min(scores) > 0.5
    assert annotated(function(), conf_threshold=1.0) == []
    assert len(annotated(function(), conf_threshold=min(scores) - 0.01)) == 2
    # Lower than the recipe's theta: what was missed is given too.
    everything = annotated(function(), conf_threshold=0.0)
    assert [shape.label_id for shape in everything[:2]] == [42, 41]
    assert all(shape.score >= 0.0 for shape in everything)


def test_masks_become_polygons_where_cvat_asks_for_them() -> None:
    labels = [SimpleNamespace(**{**vars(label), "type": "polygon"}) for label in TASK_LABELS]
    red, *_ = annotated(function(), labels=labels, conv_mask_to_poly=True)
    assert str(red.type) == "polygon"
    points = np.array(red.points).reshape(-1, 2)
    assert len(points) >= 3
    truth = scene().masks[0]
    columns, rows = truth.any(0).nonzero()[0], truth.any(1).nonzero()[0]
    assert np.abs(points.min(0) - [columns[0], rows[0]]).max() < 6
    assert np.abs(points.max(0) - [columns[-1] + 1, rows[-1] + 1]).max() < 6


def test_a_label_that_the_task_lacks_is_refused_by_cvat() -> None:
    with pytest.raises(aa.BadFunctionError, match=r"label 'the red circle' is not in dataset"):
        annotated(function(), labels=TASK_LABELS[:2])


def test_the_module_is_made_from_parameters() -> None:
    made = create(queries=f"{RED}; {BLUE};", model="shapes", device="cpu", theta=0.3)
    assert [(label.name, label.id, str(label.type)) for label in made.spec.labels] == [
        (RED, 0, "mask"),
        (BLUE, 1, "mask"),
    ]
    assert len(annotated(made)) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"queries": " ; "}, "no query"),
        ({"queries": "x" * 65}, "longer than 64 characters, the most CVAT takes"),
        ({"queries": RED, "colour": "x"}, "unknown colour"),
        ({"queries": RED, "theta": 2.0}, "theta is 2.0"),
    ],
)
def test_parameters_that_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace(".", r"\.")):
        create(**{"model": "shapes", "device": "cpu", **options})


def test_queries_come_as_one_text() -> None:
    assert split_queries("a red car ;A  Red car; a man, running") == ("a red car", "a man, running")


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="this needs the package no-such-tool, which is not installed"):
        needed("no_such_tool.part", "no-such-tool")


def shape_of(mask: NDArray[np.bool_]) -> Any:
    return aa.TrackableShape(type="mask", points=masks.encode_mask(mask))


def test_masks_drawn_in_one_frame_follow_through_the_next() -> None:
    scenes = list(moving_clip(2_000_002, 13))
    tracker = create_tracker()
    assert isinstance(tracker.spec, aa.TrackingFunctionSpec)
    assert tracker.spec.supported_shape_types == {"mask"}
    first = tracker.preprocess_image(None, Image.fromarray(scenes[0].image))
    states = [tracker.init_tracking_state(None, first, shape_of(mask)) for mask in scenes[0].masks]
    still = scenes[0].masks
    for later in scenes[1:]:
        seen = tracker.preprocess_image(None, Image.fromarray(later.image))
        found = [tracker.track(None, seen, state) for state in states]
        for shape, truth in zip(found, later.masks, strict=True):
            assert shape.type == "mask"
            mask = masks.decode_mask(shape.points, image_width=426, image_height=240)
            assert iou(mask, truth) > 0.9
    # They did move.
    assert min(iou(*pair) for pair in zip(still, later.masks, strict=True)) < 0.8


def test_a_shape_that_is_gone_is_not_found_and_found_again_when_it_is_back() -> None:
    there, gone = scene(), np.full_like(scene().image, 90)
    tracker = create_tracker(flow_size=120)
    first = tracker.preprocess_image(None, Image.fromarray(there.image))
    state = tracker.init_tracking_state(None, first, shape_of(there.masks[0]))
    assert tracker.track(None, tracker.preprocess_image(None, Image.fromarray(gone)), state) is None
    back = tracker.track(None, tracker.preprocess_image(None, Image.fromarray(scene(2).image)), state)
    mask = masks.decode_mask(back.points, image_width=WIDTH, image_height=HEIGHT)
    assert iou(mask, scene(2).masks[0]) > 0.9
