"""Ref-YouTube-VOS: reading the published layout, what is asked, what is written, and J and F of it."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from carvid.errors import InputError, UsageError
from carvid.evaluate.benchmarks import benchmark
from carvid.evaluate.contract import Choice
from carvid.evaluate.ref_ytvos import REF_YTVOS
from carvid.evaluate.runner import run_benchmark
from carvid.evaluate.truth_png import read_labels
from carvid.recipe import load_recipe
from tests.benchmark_video_trees import (
    HEIGHT,
    VIDEOS,
    WIDTH,
    labels,
    meta,
    misshapen,
    scenes,
    write_json,
    write_masks,
)
from tests.benchmark_video_trees import write_ref_ytvos as write_tree
from tests.davis_twin import Edge, boundary_f

PUBLISHED = Path(__file__).resolve().parents[2] / "shared" / "data" / "ref-youtube-vos"
TRAIN = Choice(split="train")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_tree(tmp_path / "tree")
    return tmp_path / "tree"


def write_perfect(tree: Path, out: Path) -> None:
    data = REF_YTVOS.read(tree, TRAIN)
    for number, sample in enumerate(data.samples):
        for asked in sample.asked:
            thing = int(asked.name) % 10 + (1 if int(asked.name) >= 10 else -1)
            masks = dict(zip(VIDEOS[sample.name], (labels(s) == thing for s in scenes(number)), strict=True))
            write_masks(out / "Annotations", sample.name, asked.name, masks)


def write_literal(root: Path, truths: list[list[list[int]]], expressions: dict[str, int]) -> None:
    """A video "v" of frames of 4x2 px, each truth given as its labels."""
    frames = [f"{5 * i:05d}" for i in range(len(truths))]
    for frame, truth in zip(frames, truths, strict=True):
        for path, values in (
            (root / "train/JPEGImages/v" / f"{frame}.jpg", np.zeros((2, 4, 3))),
            (root / "train/Annotations/v" / f"{frame}.png", np.array(truth)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(path)
    said = {name: {"exp": "it", "obj_id": str(label)} for name, label in expressions.items()}
    write_json(root / "meta_expressions/train/meta_expressions.json", meta({"v": (frames, said)}))
    write_json(root / "train/meta.json", {"videos": {"v": {"objects": {"1": {}, "2": {}}}}})


def test_expressions_are_query_sets_of_their_own_in_the_order_of_their_numbers(tree):
    data = REF_YTVOS.read(tree, TRAIN)
    assert [sample.name for sample in data.samples] == list(VIDEOS)
    for sample in data.samples:
        assert sample.size == (HEIGHT, WIDTH)
        assert [int(asked.name) for asked in sample.asked] == sorted(
            int(asked.name) for asked in sample.asked
        )
        assert all(len(asked.queries) == 1 and asked.labels == (1,) for asked in sample.asked)
        assert [Path(path).stem for path in sample.frames] == list(VIDEOS[sample.name])


def test_valid_is_without_the_videos_of_test_and_has_no_truth(tmp_path):
    write_tree(tmp_path, split="valid")
    data = REF_YTVOS.read(tmp_path, Choice())
    assert data.split == "valid"
    assert [sample.name for sample in data.samples] == list(VIDEOS)
    with pytest.raises(UsageError, match=r"not published.*zip"):
        data.score(tmp_path, "refuse")
    for sample in data.samples:
        for asked in sample.asked:
            empty = dict.fromkeys(VIDEOS[sample.name], np.zeros((HEIGHT, WIDTH), bool))
            write_masks(tmp_path / "out/Annotations", sample.name, asked.name, empty)
    data.write_zip(tmp_path / "out", tmp_path / "a.zip")
    with ZipFile(tmp_path / "a.zip") as packed:
        assert "Annotations/a1b2c3/10/00005.png" in packed.namelist()


def test_valid_without_the_list_of_test_is_refused(tmp_path):
    write_tree(tmp_path, split="valid")
    (tmp_path / "meta_expressions/test/meta_expressions.json").unlink()
    with pytest.raises(InputError, match=r"no file .*test"):
        REF_YTVOS.read(tmp_path, Choice())


def test_a_part_can_be_chosen(tree):
    shutil.rmtree(tree / "train/JPEGImages/a1b2c3")
    only = REF_YTVOS.read(tree, Choice("train", only=("d4e5f6",)))
    assert [sample.name for sample in only.samples] == ["d4e5f6"]
    with pytest.raises(InputError, match="a1b2c3"):
        REF_YTVOS.read(tree, Choice("train", first=1))
    for wrong in (Choice("val"), Choice("train", only=("x",)), Choice("train", first=0)):
        with pytest.raises(UsageError):
            REF_YTVOS.read(tree, wrong)


def test_j_of_masks_that_can_be_read_by_eye(tmp_path):
    # The object of expression 0 is gone in the second frame; that of expression 1 is only there.
    write_literal(
        tmp_path,
        [[[1, 1, 0, 0], [1, 1, 0, 0]], [[0, 0, 2, 2], [0, 0, 0, 0]]],
        {"0": 1, "1": 2},
    )
    out = tmp_path / "out"
    write_masks(
        out / "Annotations",
        "v",
        "0",
        {"00000": np.array([[1, 0, 0, 0], [1, 0, 0, 0]]), "00005": np.zeros((2, 4))},
    )
    write_masks(
        out / "Annotations",
        "v",
        "1",
        {"00000": np.zeros((2, 4)), "00005": np.array([[1, 0, 0, 0], [0, 0, 0, 0]])},
    )
    table = REF_YTVOS.read(tmp_path, TRAIN).score(out, "refuse")
    rows = table.tables["expression"]
    # 2 of 4 px shared, then both empty; both empty, then nothing shared.
    assert rows["v/0"]["J"] == pytest.approx((0.5 + 1) / 2)
    assert rows["v/1"]["J"] == pytest.approx((1 + 0) / 2)
    assert table.overall["J"] == pytest.approx((0.75 + 0.5) / 2)
    assert table.overall["expressions"] == 2
    assert table.overall["J&F"] == pytest.approx((table.overall["J"] + table.overall["F"]) / 2)


def test_swapped_referents_share_nothing(tmp_path):
    write_literal(tmp_path, [[[1, 1, 0, 2], [1, 1, 0, 2]]], {"0": 1, "1": 2})
    first, second = np.array([[1, 1, 0, 0]] * 2), np.array([[0, 0, 0, 1]] * 2)
    for expression, mask in (("0", second), ("1", first)):
        write_masks(tmp_path / "out/Annotations", "v", expression, {"00000": mask})
    assert REF_YTVOS.read(tmp_path, TRAIN).score(tmp_path / "out", "refuse").overall["J"] == 0


def test_figures_are_those_of_a_brute_force_twin(tree, tmp_path):
    rng = np.random.default_rng(0)
    out = tmp_path / "out"
    j, f = [], []
    data = REF_YTVOS.read(tree, TRAIN)
    objects = json.loads((tree / "meta_expressions/train/meta_expressions.json").read_text())["videos"]
    for sample in data.samples:
        for asked in sample.asked:
            label = int(objects[sample.name]["expressions"][asked.name]["obj_id"])
            of_frame = []
            for frame in VIDEOS[sample.name]:
                with Image.open(tree / "train/Annotations" / sample.name / f"{frame}.png") as stored:
                    true = np.array(stored) == label
                found = np.roll(true, rng.integers(-9, 9, 2), (0, 1))
                write_masks(out / "Annotations", sample.name, asked.name, {frame: found}, white=1)
                pairs = set(map(tuple, np.argwhere(true))), set(map(tuple, np.argwhere(found)))
                of_frame.append(
                    (len(pairs[0] & pairs[1]) / len(pairs[0] | pairs[1]), boundary_f(Edge(true), Edge(found)))
                )
            j.append(sum(one[0] for one in of_frame) / 3)
            f.append(sum(one[1] for one in of_frame) / 3)
    overall = data.score(out, "refuse").overall
    assert overall["J"] == pytest.approx(sum(j) / len(j))
    assert overall["F"] == pytest.approx(sum(f) / len(f))
    assert 0.2 < overall["J"] < 0.98


def test_frames_without_annotation_are_not_scored(tree, tmp_path):
    write_perfect(tree, tmp_path / "out")
    (tree / "train/Annotations/a1b2c3/00010.png").unlink()
    (tmp_path / "out/Annotations/a1b2c3/2/00010.png").write_bytes(b"")
    scored = REF_YTVOS.read(tree, TRAIN).score(tmp_path / "out", "refuse")
    assert scored.overall["J&F"] == 1
    assert {row["frames"] for row in scored.tables["expression"].values()} == {2, 3}


def test_what_is_missing_or_wrong_in_predictions_is_one_error(tree, tmp_path):
    out = tmp_path / "out"
    write_perfect(tree, out)
    folder = out / "Annotations/a1b2c3/2"
    (folder / "00005.png").unlink()
    whole = (folder / "00010.png").read_bytes()
    (folder / "00010.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (WIDTH - 1, HEIGHT)).save(folder / "00015.png")
    data = REF_YTVOS.read(tree, TRAIN)
    with pytest.raises(InputError) as refused:
        data.score(out, "refuse")
    told = str(refused.value)
    assert "3 problems" in told
    assert f"no file {folder / '00005.png'}" in told
    assert f"{folder / '00010.png'} is not a readable PNG" in told
    assert f"{folder / '00015.png'} is 159x120 px; expected 160x120" in told
    with pytest.raises(InputError, match="2 problems"):
        data.score(out, "empty")


def test_missing_masks_can_count_as_empty(tree, tmp_path):
    (tmp_path / "out").mkdir()
    scored = REF_YTVOS.read(tree, TRAIN).score(tmp_path / "out", "empty")
    assert scored.overall["J"] == 0
    assert "count as empty" in scored.notes[0]
    with pytest.raises(InputError, match="no folder"):
        REF_YTVOS.read(tree, TRAIN).score(tmp_path / "none", "empty")


@pytest.mark.parametrize(
    ("part", "damage", "told"),
    [
        ("train/JPEGImages/a1b2c3/00010.jpg", None, "no frame"),
        ("train/JPEGImages/a1b2c3/00010.jpg", b"GIF", "cannot be read as an image"),
        ("train/Annotations/a1b2c3/00010.png", b"\x89PNG\r\n\x1a\n", "not a readable PNG"),
        ("train/meta.json", None, "no file"),
        ("train/meta.json", b"{", "not JSON"),
        ("train/meta.json", b"[]", "has no objects"),
        ("train/meta.json", b'{"videos": {"a1b2c3": {"objects": {"7": {}}}}}', "not among the objects"),
        ("meta_expressions/train/meta_expressions.json", b"\xff", "not JSON"),
        ("meta_expressions/train/meta_expressions.json", b'{"videos": []}', 'no object "videos"'),
        ("meta_expressions/train/meta_expressions.json", b'{"videos": {"a": {}}}', "no 'frames'"),
        (
            "meta_expressions/train/meta_expressions.json",
            b'{"videos": {"a": {"frames": ["../b"], "expressions": {}}}}',
            "not the name of a file",
        ),
        (
            "meta_expressions/train/meta_expressions.json",
            b'{"videos": {"a": {"frames": ["0"], "expressions": {"0": {"exp": " "}}}}}',
            "no text",
        ),
        ("meta_expressions/train/meta_expressions.json", b'{"videos": {}}', "no video with expressions"),
    ],
)
def test_broken_trees_are_refused(tree, part, damage, told):
    if damage is None:
        (tree / part).unlink()
    else:
        (tree / part).write_bytes(damage)
    with pytest.raises(InputError, match=told) as refused:
        REF_YTVOS.read(tree, TRAIN)
    assert part in str(refused.value)


@pytest.mark.parametrize("part", ["train/meta.json", "meta_expressions/train/meta_expressions.json"])
def test_json_of_any_shape_is_read_or_refused(tmp_path, part):
    write_literal(tmp_path, [[[1, 2, 0, 0], [0, 0, 0, 0]]], {"0": 1})
    for values in misshapen(json.loads((tmp_path / part).read_text())):
        write_json(tmp_path / part, values)
        with suppress(InputError):
            data = REF_YTVOS.read(tmp_path, TRAIN)
            data.score(tmp_path, "empty")


def test_all_problems_are_told_at_once(tree):
    (tree / "train/JPEGImages/a1b2c3/00005.jpg").unlink()
    narrow = tree / "train/Annotations/d4e5f6/00040.png"
    Image.new("L", (WIDTH - 1, HEIGHT)).save(narrow)
    other = tree / "train/JPEGImages/a1b2c3/00015.jpg"
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(other)
    with pytest.raises(InputError) as refused:
        REF_YTVOS.read(tree, TRAIN)
    assert "3 problems" in str(refused.value)
    assert f"{narrow} is 159x120 px; expected 160x120, as its frame is" in str(refused.value)
    assert f"{other} is 160x121 px" in str(refused.value)


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "L;2", "L;4"])
def test_labels_are_read_as_they_are_stored(tmp_path, mode):
    import cv2

    stored = (
        np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
        if mode == "1"
        else np.array([[0, 1, 3], [2, 0, 1]], np.uint8)
    )
    path = tmp_path / "a.png"
    if mode == "I;16":
        stored = stored.astype(np.uint16) * 300
        cv2.imwrite(str(path), stored)
    elif mode == "1":
        Image.fromarray(stored.astype(bool)).save(path)
    elif mode.startswith("L;"):
        path.write_bytes(grey_png(stored, int(mode[-1])))
    else:
        image = Image.fromarray(stored)
        if mode == "P":
            image.putpalette([9, 9, 9] * 4)
        image.save(path)
    assert read_labels(path).dtype == np.int32
    assert read_labels(path).tolist() == stored.tolist()


def grey_png(values, bits: int) -> bytes:
    """A grey PNG of 2 or 4 bits per pixel, which Pillow does not write."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b""
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    height, width = values.shape
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_colours_are_no_labels(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="mode RGB"):
        read_labels(tmp_path / "a.png")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="needs ../shared")
def test_the_published_expressions(tmp_path):
    shutil.copytree(PUBLISHED / "meta_expressions", tmp_path / "meta_expressions")
    valid, test = (
        json.loads((PUBLISHED / "meta_expressions" / part / "meta_expressions.json").read_text())["videos"]
        for part in ("valid", "test")
    )
    frame = tmp_path / "frame.jpg"
    Image.new("RGB", (4, 2)).save(frame)
    names = [name for name in valid if name not in test]
    for name in names:
        folder = tmp_path / "valid/JPEGImages" / name
        folder.mkdir(parents=True)
        for number in valid[name]["frames"]:
            (folder / f"{number}.jpg").hardlink_to(frame)
    samples = REF_YTVOS.read(tmp_path, Choice()).samples
    assert [sample.name for sample in samples] == names
    for sample in samples:
        published = valid[sample.name]
        assert [Path(path).stem for path in sample.frames] == published["frames"]
        assert [asked.name for asked in sample.asked] == sorted(published["expressions"], key=int)
        assert all(asked.queries == (published["expressions"][asked.name]["exp"],) for asked in sample.asked)
    texts = [asked.queries[0] for sample in samples for asked in sample.asked]
    assert len(texts) == sum(len(valid[name]["expressions"]) for name in names)
    assert any(len(one.asked) > len({asked.queries for asked in one.asked}) for one in samples)
    assert any(not sample.frames[0].endswith("00000.jpg") for sample in samples)


def test_from_frames_to_figures(tree, tmp_path):
    data = benchmark("ref-ytvos").read(tree, TRAIN)
    ran = run_benchmark(
        REF_YTVOS, data.split, data.samples, load_recipe(model="shapes", speed="exact"), tmp_path / "out"
    )
    assert (ran.samples, ran.failed) == (2, {})
    figures = data.score(tmp_path / "out", "refuse")
    assert figures.overall["expressions"] == sum(len(sample.asked) for sample in data.samples)
    assert figures.overall["J&F"] > 0.4
