"""Standard streams that are closed, full or cut off: real processes, whose work must not suffer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carvid.store.database import open_dataset
from tests.media import moving_square, write_video
from tests.tiny_clip import make_tiny_clip

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, patch=16, logit_scale=6.0)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "square.mp4", moving_square(3))


def carvid(redirection: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it from a shell that redirects its streams so."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "carvid"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("redirection", "code"),
    [("2>/dev/full", 0), (">&- 2>&- <&-", 0), (">/dev/full", 4), (">/dev/full 2>&1", 4)],
)
def test_a_run_is_whole_whatever_becomes_of_its_streams(
    model: Path, video: Path, tmp_path: Path, redirection: str, code: int
) -> None:
    out = tmp_path / "out"
    done = carvid(redirection, "run", video, "a car", "--model", model, "--no-crf", "-o", out)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "masks",
        "overlay.mp4",
        "results.jsonl",
        "run.json",
    ]
    assert json.loads((out / "run.json").read_text())["complete"] is True
    if redirection == ">/dev/full":
        assert "cannot write to standard output: No space left on device" in done.stderr


def test_a_dataset_is_labelled_without_standard_streams(model: Path, video: Path, tmp_path: Path) -> None:
    arguments = ("annotate", video, "-q", "a car", "-o", tmp_path / "out", "--model", model, "--no-crf")
    assert carvid("<&- >&- 2>&-", *arguments).returncode == 0
    with open_dataset(tmp_path / "out") as dataset:
        assert [(each.status, each.frame_count) for each in dataset.videos()] == [("done", 3)]


@pytest.mark.parametrize(
    ("unbuffered", "redirection", "arguments", "code"),
    [
        ("", ">/dev/full", ["models"], 4),
        ("1", ">/dev/full", ["models"], 4),
        ("", ">/dev/full", ["--help"], 4),
        ("", "2>&-", ["status", "nowhere"], 3),
        ("1", "2>/dev/full", ["run"], 2),
    ],
)
def test_each_command_keeps_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, unbuffered: str, redirection: str, arguments: list[str], code: int
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    done = carvid(redirection, *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_has_gone_ends_nothing_with_a_traceback(stream: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: write_end}
    done = subprocess.run(
        [sys.executable, "-m", "carvid", "models"], text=True, timeout=60, check=False, **streams
    )
    os.close(write_end)
    assert done.returncode == (1 if stream == "stdout" else 0)
    assert not done.stderr
