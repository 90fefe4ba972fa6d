"""RefCOCO, RefCOCO+ and RefCOCOg: reading, painting and scoring."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from carvid.errors import InputError, UsageError
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice
from carvid.evaluate.instances import Instances
from carvid.evaluate.refcoco import iou_figures, merged, per_query
from carvid.evaluate.runner import run_benchmark
from carvid.recipe import load_recipe
from carvid.result import FrameResult, ObjectResult
from tests.benchmark_trees import SIZE, scene, write_labels, write_refcoco

# What the paper's released code computes, where it is at hand.
RELEASED = Path(__file__).resolve().parents[2] / "shared" / "data" / "car-released"


def write_truth(out, image: int, order=(0, 1)) -> None:
    """Predictions for an image: each referent gets the mask of the thing at its place in `order`."""
    masks = scene(image).masks
    for place in range(len(masks)):
        labels = masks[order[place]].astype(np.uint8)
        ref = 100 + 10 * image + place
        write_labels(out / f"referents/{ref}.png", labels)
        for number in range(2):
            write_labels(out / f"expressions/{10 * ref + number}.png", labels)


def test_figures_that_are_read_by_eye():
    # Two of four pixels, nothing of two, both of two, two empty masks.
    figures = iou_figures([(2, 4), (0, 2), (2, 2), (0, 0)])
    assert figures["mIoU"] == (0.5 + 0 + 1 + 0) / 4
    assert figures["oIoU"] == 4 / 8
    assert [figures[f"P@.{t}"] for t in range(5, 10)] == [0.5, 0.25, 0.25, 0.25, 0.25]


def test_figures_of_files_are_those_of_counting_pixel_by_pixel(tmp_path):
    write_refcoco(tmp_path)
    data = benchmark("refcoco").read(tmp_path, Choice())
    rng = np.random.default_rng(2)
    counts = {"expressions": [], "referents": []}
    for place, mask in enumerate(scene(0).masks):
        ref = 100 + place
        files = [("expressions", 10 * ref), ("expressions", 10 * ref + 1), ("referents", ref)]
        for number, (folder, name) in enumerate(files):
            # The last is empty.
            found = np.roll(mask, rng.integers(0, 4, 2), (0, 1)) & (place + number < 3)
            write_labels(tmp_path / f"out/{folder}/{name}.png", found.astype(np.uint8))
            true, called = ({(y, x) for y, x in zip(*np.nonzero(m), strict=True)} for m in (mask, found))
            counts[folder].append((len(true & called), len(true | called)))
    figures = data.score(tmp_path / "out", "refuse").overall
    for folder, suffix in (("expressions", ""), ("referents", " per referent")):
        ious = [shared / either for shared, either in counts[folder]]
        assert min(ious) < 0.9
        assert figures[f"mIoU{suffix}"] == pytest.approx(sum(ious) / len(ious))
        overall = sum(shared for shared, _ in counts[folder]) / sum(either for _, either in counts[folder])
        assert figures[f"oIoU{suffix}"] == pytest.approx(overall)
        for tenths in range(5, 10):
            share = sum(iou >= tenths / 10 for iou in ious) / len(ious)
            assert figures[f"P@.{tenths}{suffix}"] == pytest.approx(share)


def test_expressions_of_a_referent_vote_by_their_scores():
    one, two = np.array([[1, 1, 0, 0]], bool), np.array([[0, 1, 1, 0]], bool)
    masks = np.stack([one, two])
    assert merged(masks, np.array([0.6, 0.4])).tolist() == one.tolist()
    # With equal scores each has half of the sum.
    assert merged(masks, np.array([0.5, 0.5])).tolist() == [[True, True, True, False]]
    # Two of three are needed here and no pixel has two: the union.
    apart = np.eye(3, dtype=bool)[:, None]
    assert merged(apart, np.ones(3)).tolist() == [[True, True, True]]
    assert merged(masks, np.zeros(2)).tolist() == [[True, True, True, False]]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_a_merged_mask_is_that_of_voting_pixel_by_pixel(count, seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, 5, 8)) < rng.choice([0.02, 0.2, 0.6])
    # Quarters add up without rounding.
    scores = rng.integers(1, 5, count) / 4
    agreed = [
        [sum(s for s, m in zip(scores, masks, strict=True) if m[y, x]) / sum(scores) >= 0.5 for x in range(8)]
        for y in range(5)
    ]
    covered = sum(map(sum, agreed))
    expected = agreed if covered > 2 else [[any(m[y, x] for m in masks) for x in range(8)] for y in range(5)]
    assert merged(masks, scores).tolist() == [[bool(pixel) for pixel in row] for row in expected]


def test_an_id_that_is_there_twice_is_told(tmp_path):
    write_refcoco(tmp_path)
    path = tmp_path / "refcoco/refs(unc).p"
    refs = pickle.loads(path.read_bytes())
    refs[1]["sentences"][0]["sent_id"] = refs[0]["sentences"][0]["sent_id"]
    path.write_bytes(pickle.dumps(refs))
    with pytest.raises(InputError, match="has the sent_id 1000 twice"):
        benchmark("refcoco").read(tmp_path, Choice())


def test_outlines_are_polygons_or_codes_of_either_form():
    square = [[0, 0, 2, 0, 2, 2, 0, 2]]
    outlines = {"1": square, "2": {"size": [2, 4], "counts": [0, 4, 4]}, "3": [[0, 0]], "4": None}
    instances = Instances({}, outlines, {})
    expected = [[True, True, False, False]] * 2
    assert instances.mask(["1"], (2, 4)).tolist() == expected
    assert instances.mask(["2"], (2, 4)).tolist() == expected
    for wrong in ("3", "4"):
        with pytest.raises(InputError):
            instances.mask([wrong], (2, 4))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_codes_are_read_as_pycocotools_reads_them(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    flat = mask.T.ravel().tolist()
    runs, value = [], False
    while flat:
        run = next((i for i, pixel in enumerate(flat) if pixel != value), len(flat))
        runs.append(run)
        flat, value = flat[run:], not value
    size = [height, width]
    plain = {"size": size, "counts": runs}
    assert np.array_equal(coco.decode(coco.frPyObjects(plain, height, width)), mask)
    outlines = {"packed": {"size": size, "counts": packed["counts"].decode()}, "plain": plain}
    instances = Instances({}, outlines, {})
    for name in outlines:
        assert np.array_equal(instances.mask([name], (height, width)), mask), name
    assert not instances.mask([], (height, width)).any()


def test_an_outline_of_several_parts_is_their_union():
    parts = [(0, 0, 3, 2), (2, 1, 6, 4)]
    polygons = [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in parts]
    inside = [
        [any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in parts) for x in range(8)] for y in range(5)
    ]
    assert Instances({}, {"1": polygons}, {}).mask(["1"], (5, 8)).tolist() == inside


@pytest.mark.parametrize(("name", "splitter"), [("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")])
def test_a_tree_is_read_and_its_own_truth_scores_one(tmp_path, name, splitter):
    write_refcoco(tmp_path, name, splitter)
    data = benchmark(name).read(tmp_path, Choice())
    (sample,) = data.samples
    assert (sample.name, sample.size) == ("0", SIZE)
    things = scene(0).things
    assert sample.asked[0].queries == (f"the {things[0].name}",)
    assert sample.asked[2].name == "referent/100"
    assert sample.asked[2].queries == (f"the {things[0].name}", things[0].name)
    write_truth(tmp_path / "out", 0)
    figures = data.score(tmp_path / "out", "refuse")
    assert set(figures.overall.values()) == {1.0}
    assert {"mIoU", "oIoU", "P@.5", "P@.9", "mIoU per referent", "P@.9 per referent"} <= set(figures.overall)


def test_swapped_referents_score_what_their_masks_share(tmp_path):
    write_refcoco(tmp_path)
    assert len(scene(0).masks) == 2
    write_truth(tmp_path / "out", 0, order=(1, 0))
    figures = benchmark("refcoco").read(tmp_path, Choice()).score(tmp_path / "out", "refuse")
    # Visible parts share no pixel.
    assert set(figures.overall.values()) == {0.0}


def test_splits_and_splitters(tmp_path):
    write_refcoco(tmp_path)
    write_refcoco(tmp_path, splitter="google", images=4)
    refcoco = benchmark("refcoco")
    names = {
        split: [one.name for one in refcoco.read(tmp_path, Choice(split=split)).samples]
        for split in ("val", "testA")
    }
    assert names == {"val": ["0"], "testA": ["1"]}
    assert len(refcoco.read(tmp_path, Choice(split="unc/val")).samples) == 1
    with pytest.raises(InputError, match="nothing in the split testB"):
        refcoco.read(tmp_path, Choice(split="testB"))
    for wrong in ("testC", "other/val", "val/google"):
        with pytest.raises(UsageError, match="no split"):
            refcoco.read(tmp_path, Choice(split=wrong))


def test_what_is_wrong_with_a_tree_is_told_at_once(tmp_path):
    write_refcoco(tmp_path, images=6)
    path = tmp_path / "refcoco/instances.json"
    values = json.loads(path.read_text())
    values["images"][2]["width"] -= 1
    values["annotations"] = [one for one in values["annotations"] if one["image_id"] != 4]
    path.write_text(json.dumps(values))
    (tmp_path / "train2014/COCO_train2014_000000000000.jpg").unlink()
    with pytest.raises(InputError) as caught:
        benchmark("refcoco").read(tmp_path, Choice())
    message = str(caught.value)
    assert "3 problems" in message
    assert "no file" in message
    assert "80x60 px; expected 79x60" in message
    assert "annotation 40 is not of image 4" in message


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [{}], "annotations": []}'])
def test_instances_of_another_shape_are_refused(tmp_path, content):
    write_refcoco(tmp_path)
    (tmp_path / "refcoco/instances.json").write_text(content)
    with pytest.raises(InputError, match=r"instances\.json"):
        benchmark("refcoco").read(tmp_path, Choice())


class _Hostile:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("value", "told"), [([_Hostile()], "mkdir"), ([{"split": "val"}], "no list"), (7, "no list")]
)
def test_referents_of_another_shape_are_refused(tmp_path, monkeypatch, value, told):
    write_refcoco(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "refcoco/refs(unc).p").write_bytes(pickle.dumps(value))
    with pytest.raises(InputError, match=told):
        benchmark("refcoco").read(tmp_path, Choice())
    assert not (tmp_path / "ran").exists()


def test_a_dropped_query_does_not_vote():
    masks = np.array([[[1, 1, 0, 0]], [[1, 0, 1, 0]], [[0, 0, 0, 0]]], bool)
    present, scores = (True, False, False), (0.5, 0.2, 0.9)
    things = tuple(
        ObjectResult(i + 1, "abc"[i], mask, score, there)
        for i, (mask, score, there) in enumerate(zip(masks, scores, present, strict=True))
    )
    found, votes = per_query(FrameResult(0, None, "x", np.zeros((1, 4), np.uint8), things))
    assert found.tolist() == masks.tolist()
    # The second was kept for its mask, though not called present; the third was dropped.
    assert votes.tolist() == pytest.approx([0.5, 0.2, 0.0])


@pytest.mark.skipif(not RELEASED.is_dir(), reason="needs ../shared")
def test_masks_are_merged_as_the_released_code_merges_them():
    files = sorted((RELEASED / "refcoco").glob("*.npz"))
    assert len(files) == 6
    for file in files:
        numbers = np.load(file)
        mask = merged(numbers["final_masks"].astype(bool), numbers["final_scores"].astype(float))
        assert np.array_equal(mask, numbers["benchmark_mask"]), file.name


def test_missing_predictions_are_told_or_scored_as_empty(tmp_path):
    write_refcoco(tmp_path)
    data = benchmark("refcoco").read(tmp_path, Choice())
    with pytest.raises(InputError, match="6 problems"):
        data.score(tmp_path / "out", "refuse")
    assert set(data.score(tmp_path / "out", "empty").overall.values()) == {0.0}


def test_from_images_to_figures(tmp_path):
    write_refcoco(tmp_path)
    refcoco = benchmark("refcoco")
    data = refcoco.read(tmp_path, Choice())
    recipe = load_recipe(model="shapes", speed="exact")
    ran = run_benchmark(refcoco, data.split, data.samples, recipe, tmp_path / "out")
    assert (ran.samples, ran.failed) == (1, {})
    figures = data.score(tmp_path / "out", "refuse")
    assert all(0 <= figure <= 1 for figure in figures.overall.values())
    assert len(figures.tables["expression"]) == 2 * len(figures.tables["referent"])
