"""`carvid bench --against full, 480p, exact`: what speed is worth, on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from carvid.bench.against_speed import EXACT_FRAMES
from carvid.bench.bench import BenchOptions
from carvid.cli.bench import bench
from carvid.cli.exits import exits
from carvid.errors import UsageError
from carvid.recipe import load_recipe
from tests.media import moving_square, write_video


def command(*arguments: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command("bench")(exits(bench))
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_each_comparison_is_a_ratio_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carvid.bench.bench.large_square", lambda device: 64)
    monkeypatch.setattr("carvid.bench.machine._SHORTEST_SECONDS", 0.001)
    words = ["--model", "shapes", "--device", "cpu", "--queries", 1, "--size", "426x240", "--frames", 4]
    words += ["--drop", "preset", "--working-size", 160, "--no-crf", "--json"]
    code, out, _ = command(*words, "--against", "full", "--against", "480p", "--against", "exact")
    assert code == 0
    small, full, run = json.loads(out)["runs"][0]["speed"]
    assert small["what"] == "the models' stages of a frame at 854x480"
    assert (small["frames"], full["frames"]) == (4, 4)
    assert 0.3 < full["iou"] < 1  # a smaller look is another mask
    assert (run["frames"], run["other_frames"]) == (5, EXACT_FRAMES)
    assert all(each["seconds"] > 0 and each["other"] > 0 for each in (small, full, run))
    code, out, _ = command(*words[:-1], "--against", "full")
    assert code == 0
    assert "| a frame whole (--speed exact) |" in out


def test_an_exact_run_of_a_scaled_video_is_refused(tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    write_video(video, moving_square(3))
    with pytest.raises(UsageError, match="--against exact runs a video as it is"):
        BenchOptions(load_recipe(), video=video, size=(64, 48), against=("exact",))
    code, _, err = command("--working-size", "small")
    assert code == 2
    assert "size is 'small'; expected full or a whole number from 32" in err
