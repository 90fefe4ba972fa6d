"""Words from the command line to the files: three red squares, told apart by place and size."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carvid.annotate.label import StreamOptions, label_video
from carvid.evaluate.contract import Asked, Sample
from carvid.evaluate.run_samples import SampleRunner
from carvid.frame import Frame
from carvid.loading import load_model
from carvid.media.palette import read_label_png
from carvid.media.rle import decode_rle
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.segmenter import VideoSegmenter
from carvid.shapes.drawn_tree import write_jpeg
from carvid.shapes.scenes import draw_background, draw_scene, random_thing
from carvid.sinks.results import read_results
from carvid.store.task import Task

HEIGHT, WIDTH, FRAMES = 240, 426, 5
# x, y and radius in px; the largest is in the middle.
SQUARES = ((80, 60, 24), (220, 150, 36), (350, 100, 30))
LEFT, MIDDLE, RIGHT = ((x, y) for x, y, _ in SQUARES)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    background, grounds = draw_background(rng, HEIGHT, WIDTH)
    like = random_thing(rng, HEIGHT, WIDTH, "red", "square", 0.15, 0.15)
    scenes = []
    for t in range(FRAMES):
        things = tuple(replace(like, x_px=x + t, y_px=y, radius_px=radius) for x, y, radius in SQUARES)
        scenes.append(draw_scene(background, grounds, things).image)
    return scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, images: list[np.ndarray]) -> Path:
    path = tmp_path_factory.mktemp("squares")
    for t, image in enumerate(images):
        write_jpeg(path / f"{t:05d}.jpg", image)
    return path


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(load_recipe("shapes", device="cpu"))


def carvid(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-m", "carvid", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, check=False)


def hit(mask: np.ndarray) -> list[bool]:
    """Whether a mask (H, W) bool has the middle of each square."""
    return [bool(mask[y, x + 2]) for x, y in (LEFT, MIDDLE, RIGHT)]


def test_a_run_segments_what_the_words_mean_and_tells_each_word(folder: Path, tmp_path: Path) -> None:
    queries = ["the red square on the left", "the largest red square", "the red square"]
    out = tmp_path / "out"
    done = carvid("run", folder, *queries, "--model", "shapes", "--device", "cpu", "-o", out, "--explain")
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert told[1:3] == [
        "carvid: 'the red square on the left': CLIP reads 'the red square'; "
        "used to choose: 'on the left' (place left)",
        "carvid: 'the largest red square': CLIP reads 'the red square'; "
        "used to choose: 'largest' (size largest)",
    ]
    assert "frames 0 to 4, 'the largest red square'" in told
    assert sum(line.startswith("* thing ") for line in told) == 2
    for line in read_results(out / "results.jsonl"):
        masks = [query["mask"] for query in line["queries"]]
        assert [hit(mask) for mask in masks] == [
            [True, False, False],
            [False, True, False],
            [True, True, True],
        ]
        used = line["queries"][0]["words"]["used"]
        assert used == [{"words": "on the left", "kind": "place", "value": "left", "decisive": True}]
        assert line["queries"][1]["words"]["left"] == ["the", "red square"]
        assert "words" not in line["queries"][2]
        labels = read_label_png(out / "masks" / f"{line['name']}.png")
        assert [int(labels[y, x + 2]) for x, y in (LEFT, MIDDLE, RIGHT)] == [1, 2, 3]
    record = json.loads((out / "run.json").read_text())
    assert record["segmenter"]["expressions"][0] == {
        "query": "the red square on the left",
        "head": "the red square",
        "clues": [{"kind": "place", "value": "left", "words": "on the left", "other": ""}],
        "left": ["the red square"],
    }
    assert record["segmenter"]["words"] is True


def test_without_clues_words_change_no_byte_and_no_words_leaves_all_to_clip(
    folder: Path, tmp_path: Path
) -> None:
    arguments = ["--model", "shapes", "--device", "cpu", "--keyframes", "2"]
    for name, query, *switch in (
        ("on", "the red square"),
        ("off", "the red square", "--no-words"),
        ("left", "the red square on the left", "--no-words"),
    ):
        done = carvid("run", folder, query, *arguments, *switch, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "CLIP reads" not in done.stderr
    on, off = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("on", "off")
    )
    assert on.keys() == off.keys()
    assert [name for name in on if on[name] != off[name]] == ["run.json"]
    (first, *_) = read_results(tmp_path / "left" / "results.jsonl")
    assert hit(first["queries"][0]["mask"]) == [True, True, True]
    assert "words" not in first["queries"][0]


@pytest.mark.parametrize(
    ("query", "expected"), [("the left red square", 0), ("the second red square from the right", 1)]
)
def test_annotating_stores_what_the_words_mean(
    folder: Path, model: Model, tmp_path: Path, query: str, expected: int
) -> None:
    task = Task(1, folder.name, str(folder), 0, None, (1,), (query,))
    label_video(task, model, StreamOptions(), tmp_path / "staged", lambda *_: None)
    with closing(sqlite3.connect(tmp_path / "staged")) as connection:
        rows = connection.execute(
            "SELECT width, height, rle FROM annotations ORDER BY frame_index"
        ).fetchall()
    assert len(rows) == FRAMES
    for width, height, counts in rows:
        mask = decode_rle({"size": [height, width], "counts": counts})
        assert hit(mask) == [place == expected for place in range(3)]


def test_the_python_segmenter_reads_words_too(images: list[np.ndarray]) -> None:
    segmenter = VideoSegmenter.from_pretrained(
        "shapes", queries=["the red square on the right"], device="cpu"
    )
    found = list(segmenter.run(images))
    assert [hit(one.masks[0]) for one in found] == [[False, False, True]] * FRAMES
    assert segmenter.seconds["trunk"] > 0
    # One frame by itself is not tracked, so `step` leaves all words to CLIP.
    assert segmenter.step(images[0]).words is None


def test_a_benchmark_leaves_words_to_clip_unless_it_is_asked(folder: Path, model: Model) -> None:
    assert not any(load_recipe(name).words for name in ("refcoco", "refdavis", "gres", "voc", "context"))
    queries = ("the red square on the left",)
    image = Sample("one", (str(folder / "00000.jpg"),), (HEIGHT, WIDTH), (Asked("a", queries, (1,)),))
    found = []
    for words in (True, False):
        runner = SampleRunner(model.with_settings(words=words))
        ((_, _, results),) = runner.run([image], lambda sample, error: pytest.fail(str(error)))
        found.append(hit(results["a"].masks[0]))
    assert found == [[True, False, False], [True, True, True]]


def test_a_benchmark_of_videos_gives_every_query_set_its_frames_in_order(folder: Path, model: Model) -> None:
    frames = tuple(str(folder / f"{t:05d}.jpg") for t in range(FRAMES))
    asked = (
        Asked("words", ("the red square on the left", "the largest red square"), (1, 2)),
        Asked("plain", ("the red square",), (1,)),
    )
    runner = SampleRunner(model.with_settings(words=True))
    done = runner.run(
        [Sample("video", frames, (HEIGHT, WIDTH), asked)], lambda sample, error: pytest.fail(str(error))
    )
    count = 0
    for count, (_, frame, found) in enumerate(done, 1):
        assert frame.index == found["words"].index == found["plain"].index == count - 1
        assert [hit(mask) for mask in found["words"].masks] == [[True, False, False], [False, True, False]]
        assert hit(found["plain"].masks[0]) == [True, True, True]
    assert count == FRAMES


def test_annotate_and_images_tell_what_is_used_too(folder: Path, tmp_path: Path) -> None:
    query = "the red square on the left"
    told = f"carvid: {query!r}: CLIP reads 'the red square'; used to choose: 'on the left' (place left)"
    common = ["--model", "shapes", "--device", "cpu"]
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "squares").symlink_to(folder)
    for arguments in (
        ["annotate", videos, "-q", query, "-o", tmp_path / "dataset"],
        ["images", folder, query, "-o", tmp_path / "images"],
    ):
        done = carvid(*arguments, *common)
        assert done.returncode == 0, done.stderr
        assert told in done.stderr.splitlines()


def score(model: Model, image: np.ndarray, queries: Sequence[str]) -> float:
    frame = Frame(0, None, image, "0")
    with closing(model.session(queries)) as session:
        (result,) = session.steps([frame])
        assert result.evidence is not None
        proposals = result.evidence.proposals
        judge = session.judge(queries[0], queries[1:])
        judged = judge(image, proposals[:1] > model.recipe.eta)
        assert judged.shape == (1,)
        assert judged[0] == pytest.approx(result.evidence.steps[0].scores[0], abs=1e-5)
    return float(judged[0])


def test_a_judge_scores_masks_as_the_method_does(model: Model, images: list[np.ndarray]) -> None:
    asked = ["red square", "blue circle", "green tree"]
    assert score(model.with_settings(theta=0.0, mode="refer", split_things=False), images[0], asked) > 0.2
