"""MeViS: both versions of its expressions, truth out of run-length codes, J, F, N-acc. and T-acc."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from carvid.errors import InputError, UsageError
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice
from carvid.evaluate.mevis import MEVIS
from carvid.evaluate.runner import run_benchmark
from carvid.media.rle import encode_rle
from carvid.recipe import load_recipe
from tests.benchmark_video_trees import HEIGHT, VIDEOS, WIDTH, meta, misshapen, write_json, write_masks
from tests.benchmark_video_trees import write_mevis as write_tree
from tests.davis_twin import Edge, boundary_f

LEFT = np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool)
RIGHT = ~LEFT
NOTHING = np.zeros((2, 4), bool)


def write_literal(
    root: Path, expressions: dict[str, list[int]], *, name: str = "meta_expressions.json"
) -> None:
    """A video "v" of two frames of 4x2 px. Annotation 7 is the left half, then null; 8 is always the right half."""
    frames = ("00003", "00013")
    folder = root / "valid_u/JPEGImages/v"
    folder.mkdir(parents=True)
    for frame in frames:
        Image.new("RGB", (4, 2)).save(folder / f"{frame}.jpg")
    said = {id_: {"exp": "it", "obj_id": annos, "anno_id": annos} for id_, annos in expressions.items()}
    write_json(root / "valid_u" / name, meta({"v": (frames, said)}))
    codes = {"7": [encode_rle(LEFT), None], "8": [encode_rle(RIGHT)] * 2, "9": "of another video"}
    write_json(root / "valid_u/mask_dict.json", codes)


def predict(out: Path, expression: str, first: np.ndarray, second: np.ndarray) -> None:
    write_masks(out, "v", expression, {"00003": first, "00013": second})


def test_the_truth_is_the_union_and_null_is_empty(tmp_path):
    write_literal(tmp_path, {"0": [7], "1": [7, 8], "10": [8]})
    out = tmp_path / "out"
    predict(out, "0", LEFT, NOTHING)
    predict(out, "1", LEFT | RIGHT, LEFT | RIGHT)
    predict(out, "10", LEFT, RIGHT)
    figures = MEVIS.read(tmp_path, Choice()).score(out, "refuse")
    rows = figures.tables["expression"]
    assert list(rows) == ["v/0", "v/1", "v/10"]
    # Whole, and both empty; whole, and half of what is predicted; nothing shared, and whole.
    assert [row["J"] for row in rows.values()] == [1, 0.75, 0.5]
    assert figures.overall["J"] == pytest.approx(0.75)
    assert "N-acc." not in figures.overall


def test_swapped_referents_share_nothing(tmp_path):
    write_literal(tmp_path, {"0": [7], "1": [8]})
    predict(tmp_path / "out", "0", RIGHT, RIGHT)
    predict(tmp_path / "out", "1", LEFT, LEFT)
    figures = MEVIS.read(tmp_path, Choice()).score(tmp_path / "out", "refuse")
    assert figures.overall["J"] == 0


def test_expressions_without_target_are_right_where_nothing_is_predicted(tmp_path):
    write_literal(tmp_path, {"0": [7], "1": [8], "2": [], "3": []}, name="meta_expressions_v2_release.json")
    out = tmp_path / "out"
    predict(out, "0", NOTHING, NOTHING)
    predict(out, "1", RIGHT, RIGHT)
    predict(out, "2", NOTHING, NOTHING)
    predict(out, "3", NOTHING, LEFT)
    figures = MEVIS.read(tmp_path, Choice()).score(out, "refuse")
    rows = figures.tables["expression"]
    assert [row["J"] for row in rows.values()] == [0.5, 1, 1, 0.5]
    assert figures.overall["N-acc."] == 0.5
    assert figures.overall["T-acc."] == 0.5
    assert figures.overall["no-target expressions"] == 2
    assert figures.overall["overall"] == pytest.approx((figures.overall["J&F"] + 0.5 + 0.5) / 3)
    assert figures.notes == ("expressions of meta_expressions_v2_release.json",)


def test_figures_are_those_of_a_brute_force_twin(tmp_path):
    write_tree(tmp_path, v2=True)
    rng = np.random.default_rng(1)
    codes = json.loads((tmp_path / "valid_u/mask_dict.json").read_text())
    videos = json.loads((tmp_path / "valid_u/meta_expressions_v2.json").read_text())["videos"]
    j, f, right = [], [], {True: [], False: []}
    for video, told in videos.items():
        for name, expression in told["expressions"].items():
            of_frame, some = [], False
            for place, frame in enumerate(told["frames"]):
                true = np.zeros((HEIGHT, WIDTH), bool)
                for anno in expression["anno_id"]:
                    code = codes[str(anno)][place]
                    true |= coco.decode(code).astype(bool) if code else False
                found = np.roll(true, rng.integers(-9, 9, 2), (0, 1)) & (rng.random() < 0.7)
                write_masks(tmp_path / "out", video, name, {frame: found})
                either = (true | found).sum()
                of_frame.append(
                    ((true & found).sum() / either if either else 1.0, boundary_f(Edge(true), Edge(found)))
                )
                some |= bool(found.any())
            j.append(np.mean([one[0] for one in of_frame]))
            f.append(np.mean([one[1] for one in of_frame]))
            right[bool(expression["anno_id"])].append(some == bool(expression["anno_id"]))
    overall = MEVIS.read(tmp_path, Choice()).score(tmp_path / "out", "refuse").overall
    assert overall["J"] == pytest.approx(np.mean(j))
    assert overall["F"] == pytest.approx(np.mean(f))
    assert overall["T-acc."] == pytest.approx(np.mean(right[True]))
    assert overall["N-acc."] == pytest.approx(np.mean(right[False]))


def test_valid_has_no_truth_but_a_zip(tmp_path):
    write_tree(tmp_path, split="valid")
    data = MEVIS.read(tmp_path, Choice("valid", only=("d4e5f6",)))
    with pytest.raises(UsageError, match=r"not published.*zip"):
        data.score(tmp_path, "refuse")
    for asked in data.samples[0].asked:
        empty = dict.fromkeys(VIDEOS["d4e5f6"], np.zeros((HEIGHT, WIDTH), bool))
        write_masks(tmp_path / "out", "d4e5f6", asked.name, empty)
    data.write_zip(tmp_path / "out", tmp_path / "a.zip")
    with ZipFile(tmp_path / "a.zip") as packed:
        assert "d4e5f6/0/00040.png" in packed.namelist()


def test_missing_masks_are_refused_or_empty(tmp_path):
    write_literal(tmp_path, {"0": [7]})
    data = MEVIS.read(tmp_path, Choice())
    write_masks(tmp_path / "out", "v", "0", {"00003": LEFT})
    with pytest.raises(InputError, match=r"no file .*v/0/00013\.png"):
        data.score(tmp_path / "out", "refuse")
    assert data.score(tmp_path / "out", "empty").overall["J"] == 1


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ({}, "no annotation 7"),
        ([], "no object of annotations"),
        ({"7": None}, "no list"),
        ({"7": [None]}, "1 entries; expected one for each of 2 frames"),
        ({"7": [None, 5]}, "frame 1: no run-length code"),
        ({"7": [None, {"size": [2, 4]}]}, "frame 1: no run-length code"),
        ({"7": [None, {"size": [2], "counts": "08"}]}, "frame 1: no run-length code"),
        ({"7": [None, {"size": [2, 4], "counts": [8]}]}, "frame 1: no run-length code"),
        ({"7": [None, {"size": [2, 4], "counts": "04"}]}, "run-length code of 4 pixels"),
        ({"7": [None, encode_rle(LEFT[:, :3])]}, "a mask of 3x2 px; its frame has 4x2"),
    ],
)
def test_damaged_codes_are_refused(tmp_path, codes, told):
    write_literal(tmp_path, {"0": [7]})
    write_json(tmp_path / "valid_u/mask_dict.json", codes)
    with pytest.raises(InputError, match=told) as refused:
        MEVIS.read(tmp_path, Choice())
    assert "mask_dict.json" in str(refused.value)


@pytest.mark.parametrize("part", ["mask_dict.json", "meta_expressions.json"])
def test_json_of_any_shape_is_read_or_refused(tmp_path, part):
    write_literal(tmp_path, {"0": [7]})
    path = tmp_path / "valid_u" / part
    for values in misshapen(json.loads(path.read_text())):
        write_json(path, values)
        with suppress(InputError):
            MEVIS.read(tmp_path, Choice()).score(tmp_path, "empty")


def test_all_problems_of_a_tree_are_told_at_once(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "valid_u/JPEGImages/a1b2c3/00010.jpg").unlink()
    (tmp_path / "valid_u/mask_dict.json").write_text("{")
    with pytest.raises(InputError) as refused:
        MEVIS.read(tmp_path, Choice())
    assert "2 problems" in str(refused.value)
    with pytest.raises(InputError, match=r"no file .*meta_expressions\.json"):
        MEVIS.read(tmp_path, Choice("train"))
    with pytest.raises(UsageError, match="no split"):
        MEVIS.read(tmp_path, Choice("test"))


def test_annotations_must_be_listed(tmp_path):
    write_literal(tmp_path, {"0": 7})
    with pytest.raises(InputError, match="anno_id 7; expected a list"):
        MEVIS.read(tmp_path, Choice())


def test_from_frames_to_figures(tmp_path):
    write_tree(tmp_path / "tree", v2=True)
    data = benchmark("mevis").read(tmp_path / "tree", Choice())
    out = tmp_path / "out"
    ran = run_benchmark(MEVIS, data.split, data.samples, load_recipe(model="shapes", speed="exact"), out)
    assert (ran.samples, ran.failed) == (2, {})
    figures = data.score(out, "refuse").overall
    assert figures["expressions"] == sum(len(sample.asked) for sample in data.samples)
    assert figures["no-target expressions"] == 2
    assert figures["J&F"] > 0.3
