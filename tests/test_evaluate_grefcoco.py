"""gRefCOCO: reading, painting and scoring."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.errors import InputError, UsageError
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice
from carvid.evaluate.grefcoco import Answer, figures_of
from carvid.evaluate.refcoco import shared_and_either
from carvid.evaluate.runner import run_benchmark
from carvid.recipe import load_recipe
from tests.benchmark_trees import SIZE, scene, write_grefcoco, write_labels


def write_predictions(out, *masks) -> None:
    for number, mask in enumerate(masks):
        write_labels(out / f"expressions/{number}.png", mask.astype(np.uint8))


def test_figures_that_are_read_by_eye():
    answers = [
        Answer(target=True, found=True, shared_px=8, either_px=10),
        Answer(target=True, found=False, shared_px=0, either_px=10),
        Answer(target=False, found=False, shared_px=0, either_px=0),
        Answer(target=False, found=True, shared_px=0, either_px=20),
    ]
    assert figures_of(answers) == {
        "gIoU": pytest.approx((0.8 + 0 + 1 + 0) / 4),
        "cIoU": 8 / 40,
        "N-acc": 0.5,
        "T-acc": 0.5,
        "Pr@.7": 0.5,
        "Pr@.8": 0.5,
        "Pr@.9": 0.0,
    }
    only = figures_of(answers[:1])
    assert only["N-acc"] is None


def as_relas_evaluation_counts(pairs: list[tuple[list[bool], list[bool]]]) -> dict[str, float | None]:
    """The figures of pairs of a true and a predicted mask, counted one by one in the order of ReLA's evaluation."""
    right = {True: 0, False: 0}
    total = {True: 0, False: 0}
    ious, shared, either = [], 0, 0
    above = dict.fromkeys((0.7, 0.8, 0.9), 0)
    for true, found in pairs:
        target = any(true)
        total[target] += 1
        right[target] += any(found) == target
        both, all_of = sum(map(min, true, found)), sum(map(max, true, found))
        shared, either = shared + both, either + all_of
        if not target:
            ious.append(0.0 if any(found) else 1.0)
            continue
        ious.append(both / all_of)
        for least in above:
            above[least] += both / all_of >= least

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return {
        "gIoU": sum(ious) / len(ious),
        "cIoU": share(shared, either),
        "N-acc": share(right[False], total[False]),
        "T-acc": share(right[True], total[True]),
        **{f"Pr@.{10 * least:.0f}": share(count, total[True]) for least, count in above.items()},
    }


MASK = st.lists(st.booleans(), min_size=6, max_size=6) | st.just([False] * 6) | st.just([True] * 6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(MASK, MASK), min_size=1, max_size=6))
def test_figures_are_those_of_counting_pixel_by_pixel(pairs):
    answers = [
        Answer(any(true), any(found), *shared_and_either(np.array(true), np.array(found)))
        for true, found in pairs
    ]
    expected = as_relas_evaluation_counts(pairs)
    assert figures_of(answers) == {
        name: None if value is None else pytest.approx(value) for name, value in expected.items()
    }


def test_swapped_referents_are_predicted_but_share_nothing(tmp_path):
    write_grefcoco(tmp_path)
    path = tmp_path / "grefcoco/grefs(unc).json"
    refs = json.loads(path.read_text())
    # Each of the two things by itself.
    refs[0]["ann_id"], refs[1]["ann_id"] = [0], [1]
    path.write_text(json.dumps(refs))
    data = benchmark("grefcoco").read(tmp_path, Choice())
    first, second = scene(0).masks
    write_predictions(tmp_path / "out", second, first, np.zeros(SIZE))
    figures = data.score(tmp_path / "out", "refuse").overall
    assert (figures["T-acc"], figures["N-acc"], figures["cIoU"], figures["Pr@.7"]) == (1.0, 1.0, 0.0, 0.0)
    # The one without a target is right.
    assert figures["gIoU"] == pytest.approx(1 / 3)


def test_a_tree_is_read_and_its_own_truth_scores_one(tmp_path):
    write_grefcoco(tmp_path)
    data = benchmark("grefcoco").read(tmp_path, Choice())
    (sample,) = data.samples
    assert [one.name for one in sample.asked] == ["expression/0", "expression/1", "expression/2"]
    masks = scene(0).masks
    write_predictions(tmp_path / "out", masks.any(axis=0), masks[0], np.zeros(SIZE))
    figures = data.score(tmp_path / "out", "refuse")
    assert set(figures.overall.values()) == {1.0}


def test_a_prediction_without_a_target_adds_its_area(tmp_path):
    write_grefcoco(tmp_path)
    data = benchmark("grefcoco").read(tmp_path, Choice())
    masks = scene(0).masks
    write_predictions(tmp_path / "out", masks.any(axis=0), masks[0], np.ones(SIZE))
    figures = data.score(tmp_path / "out", "refuse").overall
    right = int(masks.any(axis=0).sum() + masks[0].sum())
    assert figures["cIoU"] == right / (right + SIZE[0] * SIZE[1])
    assert figures["gIoU"] == pytest.approx(2 / 3)
    assert (figures["N-acc"], figures["T-acc"], figures["Pr@.9"]) == (0.0, 1.0, 1.0)


def test_missing_predictions_are_told_or_scored_as_empty(tmp_path):
    write_grefcoco(tmp_path)
    data = benchmark("grefcoco").read(tmp_path, Choice())
    with pytest.raises(InputError, match="3 problems"):
        data.score(tmp_path / "out", "refuse")
    figures = data.score(tmp_path / "out", "empty").overall
    assert (figures["N-acc"], figures["T-acc"], figures["cIoU"]) == (1.0, 0.0, 0.0)


def test_what_is_wrong_with_a_tree_is_told(tmp_path):
    write_grefcoco(tmp_path, images=2)
    path = tmp_path / "grefcoco/grefs(unc).json"
    refs = json.loads(path.read_text())
    refs[0]["ann_id"] = [10]
    path.write_text(json.dumps(refs))
    (tmp_path / "train2014/COCO_train2014_000000000001.jpg").unlink()
    with pytest.raises(InputError) as caught:
        benchmark("grefcoco").read(tmp_path, Choice())
    assert "2 problems" in str(caught.value)
    assert "annotation 10 is not of image 0" in str(caught.value)
    for content in ("{", "7", '[{"split": "val"}]'):
        path.write_text(content)
        with pytest.raises(InputError, match=r"grefs\(unc\)\.json"):
            benchmark("grefcoco").read(tmp_path, Choice())
    with pytest.raises(UsageError, match="no split 'test'"):
        benchmark("grefcoco").read(tmp_path, Choice(split="test"))


def test_from_images_to_figures(tmp_path):
    write_grefcoco(tmp_path)
    grefcoco = benchmark("grefcoco")
    data = grefcoco.read(tmp_path, Choice())
    recipe = load_recipe(model="shapes", speed="exact")
    ran = run_benchmark(grefcoco, data.split, data.samples, recipe, tmp_path / "out")
    assert (ran.samples, ran.failed) == (1, {})
    figures = data.score(tmp_path / "out", "refuse")
    assert all(0 <= figure <= 1 for figure in figures.overall.values())
