"""Ref-DAVIS as a benchmark: the same figures as `carvid eval`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carvid.davis.dataset import read_dataset
from carvid.davis.evaluate import evaluate
from carvid.errors import InputError, UsageError
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice
from carvid.evaluate.figures import FIGURES_FILE
from carvid.evaluate.ref_davis import REF_DAVIS
from carvid.evaluate.runner import run_benchmark
from carvid.recipe import load_recipe
from carvid.shapes.drawn_tree import write_dataset


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    write_dataset(root, clips=2, frames=4)
    return root


@pytest.fixture
def tree(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "tree"))


def write_truth_as_predictions(tree: Path, out: Path) -> None:
    for index in range(4):
        shutil.copytree(tree / "Annotations_unsupervised/480p", out / "valid" / f"anno_{index}")


def test_expression_sets_are_query_sets(tree):
    data = REF_DAVIS.read(tree, Choice())
    read = read_dataset(tree)
    assert data.split == "val"
    assert [sample.name for sample in data.samples] == ["shapes-000", "shapes-001"]
    for sample, video in zip(data.samples, read.videos, strict=True):
        assert [asked.name for asked in sample.asked] == ["0", "1", "2", "3"]
        assert [asked.queries for asked in sample.asked] == [video.expressions[i] for i in range(4)]
        assert all(asked.labels == tuple(range(1, len(asked.queries) + 1)) for asked in sample.asked)
        assert sample.size == (240, 426)


def test_a_part_can_be_chosen(tree):
    assert [one.name for one in REF_DAVIS.read(tree, Choice(first=1)).samples] == ["shapes-000"]
    only = REF_DAVIS.read(tree, Choice("val", only=("shapes-001",))).samples
    assert [one.name for one in only] == ["shapes-001"]
    with pytest.raises(InputError, match="shapes-7"):
        REF_DAVIS.read(tree, Choice(only=("shapes-7",)))
    with pytest.raises(UsageError, match="no split 'test'"):
        REF_DAVIS.read(tree, Choice("test"))


def test_the_truth_scores_one_under_both_protocols(tree, tmp_path):
    out = tmp_path / "out"
    write_truth_as_predictions(tree, out)
    figures = REF_DAVIS.read(tree, Choice()).score(out, "refuse")
    names = [f"{name} ({protocol})" for protocol in ("identity", "matched") for name in ("J&F", "J", "F")]
    assert figures.overall == dict.fromkeys(names, 1)
    assert list(figures.tables["set"]) == ["0", "1", "2", "3"]
    figures.write(out)
    # Neither file takes the other's place.
    assert "benchmark" not in json.loads((out / "scores.json").read_text())
    assert json.loads((out / FIGURES_FILE).read_text())["benchmark"] == "refdavis"


def test_missing_masks_and_sets_are_refused_or_empty(tree, tmp_path):
    out = tmp_path / "out"
    write_truth_as_predictions(tree, out)
    (out / "valid/anno_1/shapes-001/00002.png").unlink()
    data = REF_DAVIS.read(tree, Choice())
    with pytest.raises(InputError, match=r"anno_1.shapes-001: 00002"):
        data.score(out, "refuse")
    assert data.score(out, "empty").notes == ("1 missing masks count as empty",)
    shutil.rmtree(out / "valid/anno_3")
    with pytest.raises(InputError, match="anno_3"):
        data.score(out, "refuse")


def test_broken_trees_are_refused_with_all_that_is_wrong(tree):
    frames = tree / "JPEGImages/480p"
    Image.new("RGB", (425, 240)).save(frames / "shapes-000/00001.jpg")
    (frames / "shapes-001/00002.jpg").write_bytes(b"GIF")
    with pytest.raises(InputError) as refused:
        REF_DAVIS.read(tree, Choice())
    assert "2 problems" in str(refused.value)
    assert f"{frames / 'shapes-000/00001.jpg'} is 425x240 px" in str(refused.value)
    (frames / "shapes-000/00001.jpg").unlink()
    with pytest.raises(InputError, match=r"no frame .*00001\.jpg"):
        REF_DAVIS.read(tree, Choice())


def test_from_frames_to_figures_as_carvid_eval_has_them(tree, tmp_path):
    data = benchmark("refdavis").read(tree, Choice(first=1))
    recipe = load_recipe(model="shapes", speed="exact")
    out = tmp_path / "out"
    ran = run_benchmark(REF_DAVIS, data.split, data.samples, recipe, out)
    assert (ran.samples, ran.failed) == (1, {})
    masks = sorted(path.relative_to(out) for path in (out / "valid").rglob("*.png"))
    assert len(masks) == 4 * 4
    assert any(np.asarray(Image.open(out / path)).any() for path in masks)
    scores = evaluate(tree, out, videos=["shapes-000"])
    overall = data.score(out, "refuse").overall
    for protocol, score in scores.overall.items():
        assert overall[f"J&F ({protocol})"] == score.averages.jf_mean
        assert overall[f"J ({protocol})"] == score.averages.j.mean
        assert overall[f"F ({protocol})"] == score.averages.f.mean
