"""Running samples: through real workers, killed and gone on with, in any number of workers, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from carvid.cli import app
from carvid.errors import InputError, OutputError, UsageError
from carvid.evaluate.contract import Asked, Sample
from carvid.evaluate.image_folder import PICTURES, read_pictures
from carvid.evaluate.records import read_record
from carvid.evaluate.run_samples import SampleRunner
from carvid.evaluate.runner import JOB, run_benchmark
from carvid.evaluate.segmenting import _below
from carvid.evaluate.tasks import tasks
from carvid.loading import load_model
from carvid.media.palette import read_label_png
from carvid.recipe import load_recipe
from carvid.segmenter import VideoSegmenter
from carvid.shapes.scenes import moving_clip
from carvid.stream.image_file import read_image
from carvid.workers.ray_workforce import CarvidWorker
from carvid.workers.supervise import WorkOptions
from carvid.workers.worker import Setup

QUERIES = ["red circle", "purple triangle"]
SIZES = [(96, 128), (64, 64), (96, 128), (120, 90), (64, 64)]


def draw(folder: Path, count: int = 5) -> Path:
    """Images of the shapes world, in three sizes."""
    folder.mkdir(parents=True)
    for i in range(count):
        (scene,) = moving_clip(101 + i, 1, *SIZES[i % len(SIZES)])
        Image.fromarray(scene.image).save(folder / f"{i}.png")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".part")
    }


def sample(name: str, height: int, width: int, *queries: str, frames: int = 1) -> Sample:
    asked = Asked("queries", queries or ("a dog",), tuple(range(1, len(queries) + 1)))
    return Sample(name, tuple(f"{name}-{i}.png" for i in range(frames)), (height, width), (asked,))


def test_images_of_a_size_are_one_task_and_videos_are_alone():
    images = [sample(str(i), 10, 20 if i % 2 else 30) for i in range(20)]
    videos = [sample("v", 10, 20, frames=2), sample("w", 10, 20, frames=3)]
    found = [tuple(int(one.name) for one in task.samples) for task in tasks(images, 1)]
    assert found == [(1, 3, 5, 7, 9, 11, 13, 15), (17, 19), (0, 2, 4, 6, 8, 10, 12, 14), (16, 18)]
    # Whole batches: two of 5.
    assert [len(task.samples) for task in tasks(images, 5)] == [10, 10]
    assert [task.path for task in tasks(videos, 1)] == ["v", "w"]


def test_a_sample_goes_to_a_worker_and_back_unchanged():
    path = str(Path("x.jpg").absolute())
    asked = (Asked("n", ("q", "ü"), (5, 7), {"eta": 0.2, "prompts": ("blur",)}),)
    one = Sample("a/b", (path,), (3, 4), asked, upright=True)
    assert Sample.from_json(json.loads(json.dumps(one.to_json()))) == one
    # The worker may have another working folder.
    assert Sample.from_json(Sample("a", ("x.jpg",), (3, 4), asked).to_json()).frames == (path,)


@pytest.mark.parametrize("path", ["../a.png", "a/../../b.png", "/a.png", "a//b.png", ".", "a\\b.png", ""])
def test_no_name_leads_out_of_the_output_folder(path: str):
    with pytest.raises(InputError, match="would be written to"):
        _below(path)
    assert _below("masks/a..b.png") == "masks/a..b.png"


def test_the_masks_are_those_of_a_session(tmp_path: Path):
    images = draw(tmp_path / "in")
    recipe = load_recipe(model="shapes", speed="exact")
    samples = read_pictures(images, QUERIES)
    ran = run_benchmark(PICTURES, "all", samples, recipe, tmp_path / "out")
    assert (ran.samples, ran.frames, ran.done_before, dict(ran.failed), ran.interrupted) == (
        5,
        5,
        0,
        {},
        False,
    )
    segmenter = VideoSegmenter(load_model(recipe), QUERIES)
    seen = 0
    for one in samples:
        result = segmenter.step(read_image(Path(one.frames[0])))
        mask = read_label_png(tmp_path / "out" / "masks" / f"{one.name}.png")
        assert np.array_equal(mask, result.query_map)
        record = read_record(tmp_path / "out", one.name)
        assert record is not None
        asked = record.asked["queries"]
        assert asked.queries == tuple(QUERIES)
        assert asked.present_frames == tuple(int(query.present) for query in result.queries)
        assert asked.scores == pytest.approx([query.score for query in result.queries])
        seen += int(mask.max() > 0)
    assert seen


def test_query_sets_of_a_video_share_its_frames_and_keep_apart(tmp_path: Path):
    """Two query sets with key frames, of which each goes its own way, against a session for each."""
    (tmp_path / "in").mkdir()
    paths = []
    for i, scene in enumerate(moving_clip(102, 7, 96, 128)):
        paths.append(str(tmp_path / "in" / f"{i:05d}.png"))
        Image.fromarray(scene.image).save(paths[-1])
    name = scene.things[0].name
    recipe = load_recipe(model="shapes", keyframes=3)
    model = load_model(recipe)
    asked = (Asked("a", (name,), (1,)), Asked("b", (*QUERIES, f"the {name}"), (1, 2, 3)))
    video = Sample("v", tuple(paths), (96, 128), asked)
    failed: list[object] = []
    found = list(SampleRunner(model).run([video], lambda *told: failed.append(told)))
    assert not failed
    assert [frame.name for _, frame, _ in found] == [Path(path).stem for path in paths]
    for one in asked:
        alone = VideoSegmenter(model, one.queries).run([read_image(Path(path)) for path in paths])
        for (_, _, results), expected in zip(found, alone, strict=True):
            assert np.array_equal(results[one.name].label_map, expected.label_map)
    assert all(results["a"].label_map.any() for _, _, results in found)


def test_a_damaged_image_costs_itself_alone(tmp_path: Path):
    images = draw(tmp_path / "in")
    data = (images / "0.png").read_bytes()
    (images / "half.png").write_bytes(data[: len(data) // 2])
    (images / "none.jpg").write_bytes(b"no image")
    result = CliRunner().invoke(
        app, ["images", str(images), *QUERIES, "-o", str(tmp_path / "out"), "--model", "shapes"]
    )
    assert result.exit_code == 1
    assert "5 images (5 frames) segmented, 0 done before, 2 failed" in result.output
    assert "half.png cannot be read as an image" in result.output
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [Path(line["image"]).name for line in lines] == [f"{i}.png" for i in range(5)]
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == [
        f"{i}.png" for i in range(5)
    ]


def test_pictures_are_named_by_their_place(tmp_path: Path):
    for name in ("a.png", "a.jpg", "sub/a.png", "sub/b10.png", "sub/b9.png", ".hidden/c.png", "no.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 3)).save(tmp_path / name, "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 3)).save(tmp_path / "turned.jpg", exif=exif)
    found = {one.name: one.size for one in read_pictures(tmp_path, ["a dog"])}
    assert list(found) == ["a.jpg", "a.png", "sub/a", "sub/b9", "sub/b10", "turned"]
    assert found["a.png"] == (3, 4)
    assert found["turned"] == (4, 3) == read_image(tmp_path / "turned.jpg").shape[:2]


def test_what_cannot_be_run_is_said_before_a_model_is_loaded(tmp_path: Path):
    with pytest.raises(InputError, match="no folder"):
        read_pictures(tmp_path / "none", ["a dog"])
    with pytest.raises(InputError, match="holds no image"):
        read_pictures(tmp_path, ["a dog"])
    with pytest.raises(UsageError, match="is empty"):
        read_pictures(tmp_path, [" "])


def test_another_run_is_refused_unless_it_may_be_overwritten(tmp_path: Path):
    images, out = draw(tmp_path / "in", 2), tmp_path / "out"
    recipe = load_recipe(model="shapes", speed="exact")

    def run(queries: list[str], theta: float | None = None, **more: bool) -> int:
        samples = read_pictures(images, queries)
        chosen = load_recipe(model="shapes", speed="exact", theta=theta)
        return run_benchmark(PICTURES, str(queries), samples, chosen, out, **more).samples

    assert recipe.theta == 0.2
    assert run(QUERIES) == 2
    assert run(QUERIES) == 0
    before = tree(out)
    with pytest.raises(OutputError, match=r"holds another run .*theta: 0.2 before, 0.5 now.*--overwrite"):
        run(QUERIES, 0.5)
    with pytest.raises(OutputError, match="holds another run"):
        run(QUERIES[:1])
    assert tree(out) == before
    (out / "mine.txt").write_text("kept")
    assert run(QUERIES[:1], overwrite=True) == 2
    assert set(tree(out)) == {*before, "mine.txt"}
    (out / "records" / "0.json").write_text("{}")
    with pytest.raises(OutputError, match=r"0\.json is no record"):
        run(QUERIES[:1])


def test_a_folder_that_holds_anything_else_is_left_as_it_is(tmp_path: Path):
    images, out = draw(tmp_path / "in", 1), tmp_path / "out"
    command = [str(images), *QUERIES, "-o", str(out), "--model", "shapes"]
    assert CliRunner().invoke(app, ["run", *command, "--no-overlay"]).exit_code == 0
    before = tree(out)
    for more in ([], ["--overwrite"]):
        refused = CliRunner().invoke(app, ["images", *command, *more])
        assert refused.exit_code == 4
        assert "is not empty (masks, results.jsonl, run.json) and holds no images.json" in refused.output
        assert tree(out) == before


def test_results_of_another_run_are_not_written_anew(tmp_path: Path):
    images, out = draw(tmp_path / "in", 2), tmp_path / "out"
    command = ["images", str(images), "-o", str(out), "--model", "shapes"]
    assert CliRunner().invoke(app, [*command, *QUERIES]).exit_code == 0
    before = tree(out)
    (images / "1.png").unlink()
    assert CliRunner().invoke(app, [*command, "a car"]).exit_code == 4
    assert tree(out) == before


def test_an_actor_sends_what_a_process_writes(tmp_path: Path):
    recipe = load_recipe(model="shapes", speed="exact")
    (task,) = tasks(read_pictures(draw(tmp_path / "in", 1), QUERIES), 1)
    actor = CarvidWorker(Setup(recipe, JOB, {"name": "images"}, 0, 1).to_json())
    assert actor.load()["kind"] == "ready"
    messages = list(actor.work(dict(task.to_json())))
    assert messages[-1] == {"kind": "done", "outcome": {"failed": {}}}
    (tmp_path / "sent").write_bytes(b"".join(each["bytes"] for each in messages if each["kind"] == "part"))
    run_benchmark(PICTURES, "all", task.samples, recipe, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "sent") as packed:
        names = packed.namelist()
        assert names == ["0/masks/0.png", "0/records/0.json"]
        for name in names:
            assert packed.read(name) == (tmp_path / "out" / name[2:]).read_bytes()


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path):
    images = draw(tmp_path / "in", 30)
    recipe = load_recipe(model="shapes", speed="exact")
    samples = read_pictures(images, QUERIES)
    run_benchmark(PICTURES, "all", samples, recipe, tmp_path / "whole")
    run_benchmark(PICTURES, "all", samples, recipe, tmp_path / "two", work=WorkOptions(workers=2))
    assert tree(tmp_path / "two") == tree(tmp_path / "whole")
    program = (
        "from pathlib import Path; from carvid.evaluate.image_folder import *; from carvid.recipe import load_recipe\n"
        "from carvid.evaluate.runner import run_benchmark; import sys\n"
        "run_benchmark(PICTURES, 'all', read_pictures(Path(sys.argv[1]), sys.argv[3:]), "
        "load_recipe(model='shapes', speed='exact'), Path(sys.argv[2]))"
    )
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", program, str(images), str(out), *QUERIES])
    while not list(out.glob("records/*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    process.wait()
    before = len(list(out.glob("records/*.json")))
    ran = run_benchmark(PICTURES, "all", samples, recipe, out)
    assert ran.samples + ran.done_before == 30
    # At most the task that was being written is done again.
    assert before - ran.done_before < 8
    assert tree(out) == tree(tmp_path / "whole")
