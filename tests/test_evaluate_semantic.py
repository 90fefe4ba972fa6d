"""VOC, Context and COCO-Object: reading, painting and scoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from carvid.errors import InputError, UsageError
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice, Sample
from carvid.evaluate.records import AskedRecord, Record, read_record, record_path
from carvid.evaluate.runner import run_benchmark
from carvid.evaluate.semantic import class_ious, confusion_of, figures_of
from carvid.evaluate.truth_png import read_labels
from carvid.recipe import load_recipe
from tests.benchmark_trees import (
    SIZE,
    label_map,
    scene,
    write_coco_object,
    write_context,
    write_labels,
    write_voc,
)

WRITERS = {"voc": write_voc, "context": write_context, "coco-object": write_coco_object}
COUNTS = {"voc": 20, "context": 59, "coco-object": 80}


def test_a_confusion_matrix_that_is_read_by_eye():
    truth = np.array([[0, 0, 1], [1, 2, 255]])
    found = np.array([[0, 1, 1], [1, 0, 2]])
    confusion = confusion_of(truth, found, 4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    # Class 3 never occurs; the ignored pixel called 2 does not count.
    assert class_ious(confusion) == [1 / 3, 2 / 3, 0.0, None]
    overall, tables = figures_of(confusion, ("background", "a", "b", "c"), reduced=True)
    assert overall["mIoU-4"] == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
    # Without the background's pixels, class a has 2 of 2 right, and b is missed.
    assert overall["mIoU-3"] == pytest.approx((1 + 0) / 2)
    assert overall["pixel accuracy"] == pytest.approx(3 / 5)
    assert tables["class"]["background"] == {"IoU-3": None, "IoU-4": 1 / 3}
    assert tables["class"]["c"] == {"IoU-3": None, "IoU-4": None}


def counted(pixels: list[tuple[int, int]], label: int) -> float | None:
    """The IoU of a label, from pairs of a pixel's true label and the one found."""
    shared = sum(true == label == found for true, found in pixels)
    either = sum(label in (true, found) for true, found in pixels)
    return shared / either if either else None


def mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 255]), st.integers(0, 3)), min_size=1, max_size=40))
def test_figures_are_those_of_counting_pixel_by_pixel(pixels):
    truth, found = (np.array(side) for side in zip(*pixels, strict=True))
    confusion = confusion_of(truth, found, 4)
    seen = [(t, f) for t, f in pixels if t != 255]
    ious = [counted(seen, label) for label in range(4)]
    assert class_ious(confusion) == ious
    overall, _ = figures_of(confusion, ("background", "a", "b", "c"), reduced=True)
    # Without the background: its pixels do not count, and whoever finds it elsewhere misses a class.
    things = [(t, f) for t, f in seen if t != 0]
    accuracy = sum(t == f for t, f in seen) / len(seen) if seen else None
    assert overall == {
        "mIoU-3": pytest.approx(mean([counted(things, label) for label in (1, 2, 3)])),
        "mIoU-4": pytest.approx(mean(ious)),
        "pixel accuracy": accuracy,
    }
    overall, _ = figures_of(confusion, ("background", "a", "b", "c"), reduced=False)
    assert overall == {"mIoU": pytest.approx(mean(ious)), "pixel accuracy": accuracy}


@pytest.mark.parametrize("name", WRITERS)
def test_figures_of_files_are_those_of_counting_pixel_by_pixel(tmp_path, name):
    """An image in which nothing is found, one whose truth is ignored, and one with two classes swapped."""
    names = WRITERS[name](tmp_path / "data", images=3)
    data = benchmark(name).read(tmp_path / "data", Choice())
    truths = [label_map(scene(i), i + 1) for i in range(3)]
    assert set(np.unique(truths[2])) == {0, 3, 4}
    truths[0][:, :20] = 255
    truths[1][:] = 255
    swapped = np.array([0, 1, 2, 4, 3], np.uint8)[truths[2]]
    found = [np.zeros(SIZE, np.uint8), np.full(SIZE, 7, np.uint8), swapped]
    for image, truth, labels in zip(names, truths, found, strict=True):
        write_labels(data.truth / f"{image}{data.benchmark.truth_suffix}", truth)
        write_labels(tmp_path / "out" / "masks" / f"{image}.png", labels)
    pixels = [
        (true, label)
        for truth, labels in zip(truths, found, strict=True)
        for true, label in zip(truth.ravel().tolist(), labels.ravel().tolist(), strict=True)
        if true != 255
    ]
    figures = data.score(tmp_path / "out", "refuse")
    whole = "mIoU-60" if name == "context" else "mIoU"
    assert figures.overall[whole] == pytest.approx(mean([counted(pixels, label) for label in range(81)]))
    rows = [row.get("IoU", row.get("IoU-60")) for row in figures.tables["class"].values()]
    # Missed; swapped; never in either, though found where the truth is ignored.
    assert rows[1:3] == [0, 0]
    assert rows[3:5] == [0, 0]
    assert rows[5:] == [None] * (COUNTS[name] - 4)


@pytest.mark.parametrize("name", WRITERS)
def test_a_tree_is_read_and_its_own_truth_scores_one(tmp_path, name):
    names = WRITERS[name](tmp_path / "data")
    data = benchmark(name).read(tmp_path / "data", Choice())
    assert [sample.name for sample in data.samples] == list(names)
    (asked,) = data.samples[0].asked
    assert data.samples[0].size == SIZE
    assert asked.labels == tuple(range(1, COUNTS[name] + 1))
    assert len(asked.queries) == COUNTS[name]
    for i, image in enumerate(names):
        write_labels(tmp_path / "out" / "masks" / f"{image}.png", label_map(scene(i), i + 1))
    figures = data.score(tmp_path / "out", "refuse")
    means = [value for key, value in figures.overall.items() if key.startswith("mIoU")]
    assert means == [1.0] * (2 if name == "context" else 1)
    assert figures.overall["h_T precision"] is None
    assert any("no record" in note for note in figures.notes)


@pytest.mark.parametrize("name", WRITERS)
def test_both_lists_name_every_class_once(name):
    for names in ("paper", "released"):
        assert len(set(benchmark(name).classes(names))) == COUNTS[name]
    with pytest.raises(UsageError, match="class names 'other'"):
        benchmark(name).classes("other")


@pytest.mark.parametrize("top", ["", "VOCdevkit", "VOC2012"])
def test_root_may_be_the_tree_or_what_it_lies_in(tmp_path, top):
    write_voc(tmp_path / "VOCdevkit")
    root = {"": tmp_path, "VOCdevkit": tmp_path / "VOCdevkit", "VOC2012": tmp_path / "VOCdevkit/VOC2012"}[top]
    assert len(benchmark("voc").read(root, Choice()).samples) == 2


def test_a_choice_is_honoured(tmp_path):
    first, second = write_voc(tmp_path)
    voc = benchmark("voc")
    assert [one.name for one in voc.read(tmp_path, Choice(first=1)).samples] == [first]
    data = voc.read(tmp_path, Choice(only=(second,), names="released"))
    assert [one.name for one in data.samples] == [second]
    assert data.samples[0].asked[0].queries[2] == "bird avian"
    for wrong in (Choice(split="test"), Choice(only=("nothing",)), Choice(first=0), Choice(names="x")):
        with pytest.raises(UsageError):
            voc.read(tmp_path, wrong)


def test_all_that_is_wrong_with_a_tree_is_told_at_once(tmp_path):
    names = write_voc(tmp_path, images=4)
    truth = tmp_path / "VOC2012/SegmentationClass"
    (tmp_path / f"VOC2012/JPEGImages/{names[0]}.jpg").unlink()
    write_labels(truth / f"{names[1]}.png", np.zeros((60, 79), np.uint8))
    write_labels(truth / f"{names[2]}.png", np.full(SIZE, 21, np.uint8))
    whole = (truth / f"{names[3]}.png").read_bytes()
    (truth / f"{names[3]}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as caught:
        benchmark("voc").read(tmp_path, Choice())
    message = str(caught.value)
    assert "4 problems" in message
    assert f"no file {tmp_path}/VOC2012/JPEGImages/{names[0]}.jpg" in message
    assert f"{names[1]}.png is 79x60 px; expected 80x60" in message
    assert f"{names[2]}.png has the label 21" in message
    assert f"{names[3]}.png is not a readable PNG" in message


def test_predictions_that_cannot_be_scored_are_told_at_once(tmp_path):
    names = write_voc(tmp_path, images=3)
    data = benchmark("voc").read(tmp_path, Choice())
    out = tmp_path / "out"
    write_labels(out / f"masks/{names[1]}.png", np.zeros((60, 79), np.uint8))
    write_labels(out / f"masks/{names[2]}.png", np.full(SIZE, 21, np.uint8))
    with pytest.raises(InputError) as caught:
        data.score(out, "refuse")
    message = str(caught.value)
    assert "3 problems" in message
    assert all(name in message for name in names)
    for name in names[1:]:
        write_labels(out / f"masks/{name}.png", np.zeros(SIZE, np.uint8))
    figures = data.score(out, "empty")
    assert figures.overall["mIoU"] < 0.5
    assert "1 missing predictions were scored as empty masks." in figures.notes


def test_surviving_queries_are_held_against_the_classes_in_the_truth(tmp_path):
    (name,) = write_voc(tmp_path, images=1)
    data = benchmark("voc").read(tmp_path, Choice())
    (asked,) = data.samples[0].asked
    out = tmp_path / "out"
    write_labels(out / f"masks/{name}.png", np.zeros(SIZE, np.uint8))
    there = set(np.unique(label_map(scene(0), 1)).tolist()) - {0}
    # Class 1 is kept rightly, classes 9 and 10 wrongly.
    present = tuple(int(label in (1, 9, 10)) for label in asked.labels)
    record = Record(name, 1, {asked.name: AskedRecord(asked.queries, present, (0.5,) * 20)})
    path = out / record_path(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(record.to_bytes())
    figures = data.score(out, "refuse")
    assert figures.overall["h_T precision"] == pytest.approx(1 / 3)
    assert figures.overall["h_T recall"] == pytest.approx(1 / len(there))


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "1"])
def test_labels_are_read_from_every_grey_and_palette_png(tmp_path, mode):
    values = np.array([[0, 1], [1, 0]] if mode == "1" else [[0, 7], [255, 3]], np.int32)
    path = Path(tmp_path / "x.png")
    if mode == "1":
        Image.fromarray(values.astype(bool)).save(path)
    elif mode == "I;16":
        Image.fromarray(values.astype(np.uint16)).save(path)
    else:
        image = Image.fromarray(values.astype(np.uint8))
        if mode == "P":
            image.putpalette([9, 9, 9] * 256)
        image.save(path)
    labels = read_labels(path)
    assert labels.dtype == np.int32
    assert labels.tolist() == values.tolist()


def test_a_colour_png_has_no_labels(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match="mode RGB"):
        read_labels(tmp_path / "x.png")


@pytest.mark.parametrize("name", WRITERS)
def test_from_images_to_figures(tmp_path, name):
    WRITERS[name](tmp_path / "data", images=1)
    data = benchmark(name).read(tmp_path / "data", Choice())
    assert Sample.from_json(data.samples[0].to_json()) == data.samples[0]
    recipe = load_recipe(model="shapes", speed="exact")
    ran = run_benchmark(benchmark(name), data.split, data.samples, recipe, tmp_path / "out")
    assert (ran.samples, ran.failed) == (1, {})
    figures = data.score(tmp_path / "out", "refuse")
    assert 0 <= figures.overall["pixel accuracy"] <= 1
    assert 0 <= figures.overall["h_T recall"] <= 1
    assert len(figures.tables["class"]) == COUNTS[name] + 1


def test_context_in_two_passes_from_images_to_figures(tmp_path):
    (name,) = write_context(tmp_path / "data", images=1)
    context = benchmark("context")
    data = context.read(tmp_path / "data", Choice(two_passes=True))
    assert [one.name for one in data.samples[0].asked] == ["stuff", "things"]
    recipe = load_recipe("context", model="shapes", variant="released")
    ran = run_benchmark(context, data.split, data.samples, recipe, tmp_path / "out")
    assert (ran.samples, ran.failed) == (1, {})
    # Whoever scores need not know how it was asked.
    scored = context.read(tmp_path / "data", Choice()).score(tmp_path / "out", "refuse")
    record = read_record(tmp_path / "out", name)
    kept = sum(frames > 0 for asked in record.asked.values() for frames in asked.present_frames)
    assert {one: len(asked.queries) for one, asked in record.asked.items()} == {"stuff": 21, "things": 38}
    assert scored.overall["h_T recall"] is not None
    assert kept >= 2
