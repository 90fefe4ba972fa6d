"""`carvid run` as a user runs it: real processes, real files, exit codes."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from carvid.cli.run import default_folder
from carvid.media.locks import FolderLock
from carvid.media.palette import read_label_png
from carvid.sinks.results import read_results
from tests.media import moving_square, truncate, write_folder, write_video
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, patch=16, logit_scale=6.0)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    write_video(path, moving_square(6))
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "carvid", *map(str, arguments)]


def carvid(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env=environment,
        check=False,
    )


def test_a_video_becomes_masks_an_overlay_and_records(model: Path, video: Path, tmp_path: Path) -> None:
    queries = ["the red car", 'a "{}" / thing\nbelow', "the red car"]
    done = carvid("run", video, *queries, "--model", model, "-o", tmp_path / "out", "--theta", "0", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["frames"] == 6
    assert [entry["query"] for entry in summary["queries"]] == queries

    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "masks",
        "overlay.mp4",
        "results.jsonl",
        "run.json",
    ]
    lines = list(read_results(out / "results.jsonl"))
    assert [line["index"] for line in lines] == list(range(6))
    for line in lines:
        labels = read_label_png(out / "masks" / f"{line['name']}.png")
        assert labels.shape == (48, 64)
        assert [entry["query"] for entry in line["queries"]] == queries
        assert np.isin(np.unique(labels), [0, 1, 2]).all()
    with av.open(str(out / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)

    told = json.loads((out / "run.json").read_text())
    assert told["complete"] is True
    assert told["frames"] == 6
    assert told["segmenter"]["models"]["proposer"]["sha256"]
    assert told["segmenter"]["settings"]["theta"] == 0.0


def test_key_frames_are_recorded_frame_by_frame(model: Path, video: Path, tmp_path: Path) -> None:
    words = ["run", video, "a car", "--model", model, "--theta", "0", "--no-overlay"]
    for name, options in (("every", ["--keyframes", "1"]), ("keys", ["--keyframes", "4"])):
        done = carvid(*words, "-o", tmp_path / name, *options)
        assert done.returncode == 0, done.stderr
    every, keys = (list(read_results(tmp_path / name / "results.jsonl")) for name in ("every", "keys"))
    assert [line["key"] for line in keys] == [True, False, False, False, True, True]
    assert [line["keys"] for line in keys] == [[0], [0, 4], [0, 4], [0, 4], [4], [5]]
    assert all(0 <= line["confidence"] <= 1 for line in keys)
    assert not any("key" in line for line in every)
    for i in (0, 4, 5):
        assert np.array_equal(keys[i]["queries"][0]["mask"], every[i]["queries"][0]["mask"])
        assert keys[i]["steps"] == every[i]["steps"]
    told = json.loads((tmp_path / "keys" / "run.json").read_text())
    assert told["totals"]["motion"] == {"frames": 6, "keys": 3, "shots": 1}
    assert told["segmenter"]["keyframes"] == 4


def test_stdout_holds_the_summary_alone_and_progress_goes_to_stderr(
    model: Path, video: Path, tmp_path: Path
) -> None:
    done = carvid("run", video, "a car", "--model", model, "-o", tmp_path / "o", "--no-overlay", "--no-crf")
    assert done.returncode == 0
    assert done.stdout.startswith("done: 6 frames in ")
    assert "'a car': present in " in done.stdout
    assert "square.mp4: 6 of 6 frames" in done.stderr
    assert not (tmp_path / "o" / "overlay.mp4").exists()


def test_the_output_folder_is_named_after_the_source(model: Path, video: Path, tmp_path: Path) -> None:
    assert carvid("run", video, "a car", "--model", model, "--no-crf", cwd=tmp_path).returncode == 0
    assert (tmp_path / "carvid-square" / "run.json").is_file()


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("clips/cat.mp4", "carvid-cat"),
        ("link.mp4", "carvid-link"),
        (".", "carvid-here"),
        ("clips/..", "carvid-here"),
        ("clips/.", "carvid-clips"),
        ("x" * 246 + ".mp4", "carvid-" + "x" * 246),
        ("x" * 250, "carvid-" + "x" * 248),
        ("é" * 123 + ".mp4", "carvid-" + "é" * 123),
        ("xé" * 83, "carvid-" + "xé" * 82 + "x"),
        ("€" * 83, "carvid-" + "€" * 82),
        ("\udce9" * 250, "carvid-" + "\udce9" * 248),
    ],
)
def test_the_default_folder_fits_and_has_the_name_that_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, folder: str
) -> None:
    (tmp_path / "here" / "clips").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    Path("link.mp4").symlink_to("SHA256E-s123--abc.mp4")
    assert default_folder(source) == Path(folder)
    assert len(os.fsencode(default_folder(source))) <= 255


def test_a_video_of_the_longest_name_has_an_output_folder(video: Path, tmp_path: Path) -> None:
    named = tmp_path / ("é" * 125 + ".mp4")
    named.symlink_to(video)
    (tmp_path / ("carvid-" + "é" * 124) / "mine").mkdir(parents=True)
    done = carvid("run", named, "a car", "--model", "./nowhere", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert "is not empty (mine)" in done.stderr


def test_a_folder_with_mixed_sizes_part_of_it_and_separate_masks(model: Path, tmp_path: Path) -> None:
    frames = [*moving_square(4), *moving_square(2, 30, 40)]
    write_folder(tmp_path / "in", frames, names=["f1", "f2", "f9", "f10", "f11", "f12"])
    done = carvid(
        "run", tmp_path / "in", "a car", "a star", "--model", model, "-o", tmp_path / "out", "--separate",
        "--start-frame", 1, "--stop-frame", 6, "--every", 2, "--theta", 0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out" / "masks" / "2").iterdir()) == [
        "f10.png",
        "f12.png",
        "f2.png",
    ]
    assert read_label_png(tmp_path / "out" / "masks" / "1" / "f2.png").shape == (48, 64)
    assert read_label_png(tmp_path / "out" / "masks" / "1" / "f12.png").shape == (30, 40)
    assert [line["index"] for line in read_results(tmp_path / "out" / "results.jsonl")] == [1, 3, 5]


def test_existing_output_is_refused_unless_overwrite(model: Path, video: Path, tmp_path: Path) -> None:
    arguments = ("run", video, "a car", "--model", model, "-o", tmp_path / "o", "--no-crf", "--no-overlay")
    assert carvid(*arguments).returncode == 0
    before = (tmp_path / "o" / "run.json").read_bytes()
    refused = carvid(*arguments)
    assert refused.returncode == 4
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "o" / "run.json").read_bytes() == before
    assert carvid(*arguments, "--overwrite").returncode == 0


def test_a_folder_in_use_is_refused_before_any_weights(video: Path, tmp_path: Path) -> None:
    arguments = ("run", video, "a car", "--model", "./no-such-model", "-o", tmp_path / "o", "--overwrite")
    with FolderLock(tmp_path / "o"):
        refused = carvid(*arguments)
    assert refused.returncode == 4
    assert f"is in use: process {os.getpid()} on" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.mp4", "a car"], 3, "there is no file or folder nowhere.mp4"),
        (["{video}"], 2, "queries"),
        (["{video}", " "], 2, "query 1 of 1 is empty"),
        (["{video}", "caf\udce9", "--model", "./nowhere"], 2, "expected UTF-8 text"),
        (
            ["{video}", "a car", "--templates", "caf\udce9 {}", "--model", "./nowhere"],
            2,
            "expected UTF-8 text",
        ),
        (["{video}", "a car", "--preset", "imagenet"], 2, "no preset 'imagenet'"),
        (["{video}", "a car", "--eta", "7"], 2, "eta is 7.0; expected a number from 0 to 1"),
        (["{video}", "a car", "--prompt", "arrow"], 2, "unknown visual prompt 'arrow'"),
        (["{video}", "a car", "--device", "cuda:99"], 2, "cuda:99"),
        (["{video}", "a car", "--reader", "vlc"], 2, "no reader 'vlc'"),
        (["{video}", "a car", "--model", "./nowhere"], 3, "no such file or folder"),
        (["{video}", "word " + 100 * "and word "], 2, "it would be cut here"),
        (["{video}", "a car", "--nonsense"], 2, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_an_exit_code(
    model: Path, video: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [argument.replace("{video}", str(video)) for argument in arguments]
    default = [] if "--model" in given else ["--model", str(model)]
    done = carvid("run", *given, *default, "-o", tmp_path / "out")
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_there_are_told_within_five_seconds(video: Path, tmp_path: Path) -> None:
    # The processor's time, which other work on the machine does not lengthen as it does the clock's.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = carvid("run", video, "a car", "--model", "org/no-such-model", "-o", tmp_path / "out", "--offline")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 3
    assert "org/no-such-model" in done.stderr
    assert "Traceback" not in done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5


def test_a_damaged_video_is_used_up_to_the_damage_and_exits_one(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    write_video(path, moving_square(40))
    truncate(path, path.stat().st_size * 2 // 3)
    arguments = ("run", path, "a car", "--model", model, "--no-crf", "--no-overlay")
    done = carvid(*arguments, "-o", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "damaged source, frame" in done.stderr
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert 0 < told["frames"] < 40
    assert told["damage"]
    strict = carvid(*arguments, "-o", tmp_path / "strict", "--strict")
    assert strict.returncode == 3


def test_the_first_interrupt_finishes_the_frame_and_closes_the_files(model: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "in", moving_square(400))
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("run", tmp_path / "in", "a car", "--model", model, "-o", out),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    results = out / "results.jsonl"
    while not (results.exists() and results.read_text().count("\n") >= 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert stdout.startswith("interrupted after ")
    told = json.loads((out / "run.json").read_text())
    assert told["complete"] is False
    assert 2 <= told["frames"] < 400
    assert len(list((out / "masks").iterdir())) == told["frames"] == len(list(read_results(results)))
    with av.open(str(out / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == told["frames"]


def test_models_lists_names_sizes_and_what_is_cached() -> None:
    done = carvid("models")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names[:3] == ["clip", "clip-b16", "shapes"]
    assert "577 M parameters" in done.stdout


def test_pulling_what_cannot_be_had_exits_three() -> None:
    done = carvid("models", "pull", "org/no-such-model")
    assert done.returncode == 3
    assert "org/no-such-model" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample videos are not here")
def test_a_real_folder_and_a_real_video(model: Path, tmp_path: Path) -> None:
    folder = SHARED / "davis-sample" / "JPEGImages" / "480p" / "dog"
    done = carvid("run", folder, "a dog", "--model", model, "-o", tmp_path / "dog", "--stop-frame", 1)
    assert done.returncode == 0, done.stderr
    video = SHARED / "video" / "bedroom.mp4"
    done = carvid(
        "run", video, "a bed", "--model", model, "-o", tmp_path / "bed", "--stop-frame", 2, "--no-crf"
    )
    assert done.returncode == 0, done.stderr
    assert read_label_png(tmp_path / "bed" / "masks" / "00001.png").shape == (540, 960)


def test_sam_refines_and_is_recorded(model: Path, video: Path, tmp_path: Path) -> None:
    sam = make_tiny_sam(tmp_path / "sam")
    arguments = ("run", video, "a car", "--model", model, "--theta", 0, "--no-overlay")
    arguments += ("--stop-frame", 3, "--keyframes", 1)
    done = carvid(
        *arguments, "-o", tmp_path / "out", "--sam", sam, "--sam-every", 2, "--sam-points", "guided"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "out" / "run.json").read_text())
    assert told["segmenter"]["sam"]["options"]["points"] == "guided"
    lines = list(read_results(tmp_path / "out" / "results.jsonl"))
    assert ["sam" in line["queries"][0] for line in lines] == [True, False, True]
    assert set(lines[0]["queries"][0]["sam"]) == {"matched", "iou", "replaced"}
    refused = carvid(*arguments, "-o", tmp_path / "no", "--sam", "./nowhere")
    assert refused.returncode == 3
    assert not (tmp_path / "no").exists()
