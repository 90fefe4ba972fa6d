"""`carvid refdavis` and `carvid eval` on a drawn Ref-DAVIS tree, as real processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from carvid.media.locks import FolderLock
from carvid.media.palette import read_label_png
from carvid.shapes.drawn_tree import Clip, write_dataset
from tests.tiny_clip import make_tiny_clip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, patch=16, logit_scale=6.0)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Clip, ...]]:
    root = tmp_path_factory.mktemp("davis")
    return root, write_dataset(root, clips=2, frames=3)


@pytest.fixture(scope="module")
def finished(
    model: Path, tree: tuple[Path, tuple[Clip, ...]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("runs") / "out"
    done = refdavis(tree[0], out, model)
    assert done.returncode == 0, done.stderr
    (out / "stdout.txt").write_text(done.stdout)
    return out


def carvid(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "carvid", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)


def refdavis(root: Path, out: Path, model: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return carvid("refdavis", root, "-o", out, "--model", model, "--no-crf", "--workers", 1, *options)


def test_every_set_of_every_video_is_segmented_and_scored(
    finished: Path, tree: tuple[Path, tuple[Clip, ...]]
) -> None:
    _, clips = tree
    for i in range(4):
        for clip in clips:
            folder = finished / "valid" / f"anno_{i}" / clip.name
            assert sorted(path.name for path in folder.iterdir()) == ["00000.png", "00001.png", "00002.png"]
            labels = np.unique(read_label_png(folder / "00000.png"))
            assert set(labels) <= set(range(len(clip.expressions) + 1))
    scores = json.loads((finished / "scores.json").read_text())
    assert set(scores["identity"]) >= {"0", "1", "2", "3"}
    for protocol in ("identity", "matched"):
        for i in range(4):
            csv = finished / "scores" / protocol / f"anno_{i}" / "global_results-val.csv"
            assert csv.read_text().startswith("J&F-Mean,J-Mean,J-Recall,J-Decay,F-Mean,F-Recall,F-Decay")
    assert "| mean of 4 |" in (finished / "stdout.txt").read_text()


def test_a_run_takes_the_switches_of_eval(
    model: Path, finished: Path, tree: tuple[Path, tuple[Clip, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    done = refdavis(tree[0], out, model, "--consistency", "--tracks")
    assert done.returncode == 0, done.stderr
    assert "| F gap | consistency |" in done.stdout
    assert "| Set | HOTA | DetA | AssA | LocA | IDF1 | IDP | IDR |" in done.stdout
    labels = json.loads((out / "scores.json").read_text())["labels"]
    assert set(labels["sets"]) == {"0", "1", "2", "3"}
    assert set(labels["overall"]) == {"consistency", "HOTA", "DetA", "AssA", "LocA", "IDF1", "IDP", "IDR"}


def test_key_frames_are_scored_beside_every_frame(
    model: Path, finished: Path, tree: tuple[Path, tuple[Clip, ...]], tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "report.html"
    shutil.copytree(finished, out)
    done = refdavis(
        tree[0], out, model, "--keyframes", "2", "--theta", "0", "--overwrite", "--report", report
    )
    assert done.returncode == 0, done.stderr
    every_frame, keys = done.stdout.split("Key frames, 2:")
    assert every_frame.startswith("Every frame run:")
    assert every_frame.count("| mean of 4 |") == keys.count("| mean of 4 |") == 1
    assert "<h3>Every frame run</h3>" in report.read_text()
    for clip in tree[1]:
        for i in range(4):
            alone, beside = (
                folder / "valid" / f"anno_{i}" / clip.name for folder in (out, out / "keyframes-2")
            )
            # Of three frames the first and the last are keys, where both runs are one.
            for name in ("00000.png", "00002.png"):
                assert (alone / name).read_bytes() == (beside / name).read_bytes()
            assert read_label_png(beside / "00001.png").shape == (240, 426)
    again = refdavis(tree[0], out, model, "--keyframes", "2", "--theta", "0")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("0 videos (0 frames) segmented, 2 done before, 0 failed") == 2


def test_each_set_uses_its_own_words(finished: Path, tree: tuple[Path, tuple[Clip, ...]]) -> None:
    name = tree[1][0].expressions[0]
    record = json.loads((finished / "records" / f"{tree[1][0].name}.json").read_text())
    said = [record["asked"][str(i)]["queries"][0] for i in range(4)]
    assert said == [f"the {name}", f"a {name}", name, f"the {name} in the scene"]


def test_going_on_redoes_only_what_has_no_record(
    model: Path, finished: Path, tree: tuple[Path, tuple[Clip, ...]], tmp_path: Path
) -> None:
    root, clips = tree
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    # Cut short in the second video: its masks lie there in part, its record does not.
    (out / "records" / f"{clips[1].name}.json").unlink()
    for i in range(4):
        (out / "valid" / f"anno_{i}" / clips[1].name / "00001.png").unlink()
        (out / "valid" / f"anno_{i}" / clips[1].name / "00000.png").write_bytes(b"half")
    first = out / "valid" / "anno_0" / clips[0].name / "00000.png"
    untouched = first.stat().st_mtime_ns
    done = refdavis(root, out, model)
    assert done.returncode == 0, done.stderr
    assert "1 videos (3 frames) segmented, 1 done before, 0 failed" in done.stderr
    assert first.stat().st_mtime_ns == untouched
    for i in range(4):
        for path in (finished / "valid" / f"anno_{i}").glob("*/*.png"):
            assert path.read_bytes() == (out / path.relative_to(finished)).read_bytes()


def test_other_settings_refuse_to_mix_with_what_lies_there(
    model: Path, finished: Path, tree: tuple[Path, tuple[Clip, ...]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    done = refdavis(tree[0], out, model, "--preset", "refcocog")
    assert done.returncode == 4
    assert "settings.theta: 0.3 before, 0.1 now" in done.stderr
    assert (out / "valid" / "anno_0" / tree[1][0].name / "00000.png").exists()


def test_eval_alone_needs_neither_frames_nor_expressions_and_gives_the_same(
    finished: Path, tree: tuple[Path, tuple[Clip, ...]], tmp_path: Path
) -> None:
    root = tmp_path / "davis"
    for folder in ("Annotations_unsupervised", "ImageSets"):
        shutil.copytree(tree[0] / folder, root / folder)
    out = tmp_path / "out"
    shutil.copytree(finished / "valid", out / "valid")
    done = carvid("eval", root, out, "--workers", 1, "--report", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    ours, before = (json.loads((folder / "scores.json").read_text()) for folder in (out, finished))
    assert ours["identity"] == before["identity"]
    assert ours["averages"] == before["averages"]
    assert (tmp_path / "report.html").read_text().lstrip().startswith("<!")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--sets", "one"], 2, "expected numbers from 0 to 3"),
        (["--sets", "4"], 2, "expected one or more of 0, 1, 2 and 3"),
        (["--videos", "nowhere"], 3, "nowhere"),
        (["--missing", "skip"], 2, "expected refuse or empty"),
    ],
)
def test_eval_refuses_with_a_code(
    finished: Path, tree: tuple[Path, tuple[Clip, ...]], options: list[str], code: int, message: str
) -> None:
    done = carvid("eval", tree[0], finished, *options)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_incomplete_tree_is_one_error_before_any_weights(tmp_path: Path) -> None:
    done = refdavis(tmp_path, tmp_path / "out", Path("./no-such-model"))
    assert done.returncode == 3
    assert "4 problems" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_refused_before_any_weights(
    tree: tuple[Path, tuple[Clip, ...]], tmp_path: Path
) -> None:
    with FolderLock(tmp_path / "out"):
        done = refdavis(tree[0], tmp_path / "out", Path("./no-such-model"), "--overwrite")
    assert done.returncode == 4
    assert f"is in use: process {os.getpid()} on" in done.stderr
