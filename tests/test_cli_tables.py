"""`carvid benchmark` and `carvid score` on drawn trees, from the command line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from carvid.cli import app
from carvid.evaluate.benchmarks import BENCHMARKS, benchmark
from carvid.recipe import preset_names
from carvid.shapes.drawn_tree import write_dataset
from tests.benchmark_video_trees import write_ref_ytvos


def carvid(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_keeps_to_the_contract(name: str, tmp_path: Path) -> None:
    found = benchmark(name)
    assert found.name == name
    assert found.preset in preset_names()
    assert found.splits
    done = carvid("benchmark", name, tmp_path, "-o", tmp_path / "out", "--model", "./no-such-model")
    assert done.exit_code == 3, done.output
    assert "problem" in done.output
    assert "no-such-model" not in done.output
    assert not (tmp_path / "out").exists()


def test_a_split_with_truth_is_run_and_scored_and_packed(tmp_path: Path) -> None:
    write_ref_ytvos(tmp_path / "in", split="train")
    out = tmp_path / "out"
    command = ("benchmark", "ref-ytvos", tmp_path / "in", "-o", out, "--split", "train", "--model", "shapes")
    done = carvid(*command)
    assert done.exit_code == 0, done.output
    assert "2 samples (6 frames) segmented, 0 done before, 0 failed" in done.output
    figures = json.loads((out / "figures.json").read_text())
    assert figures["benchmark"] == "ref-ytvos"
    assert figures["overall"]["expressions"] == 8
    assert figures["overall"]["J&F"] > 0.7
    assert (out / "figures-expression.csv").read_text().startswith("expression,")
    before = (out / "ref-ytvos-train.zip").read_bytes()
    again = carvid(*command)
    assert "0 samples (0 frames) segmented, 2 done before, 0 failed" in again.output
    assert (out / "ref-ytvos-train.zip").read_bytes() == before
    scored = carvid("score", "ref-ytvos", tmp_path / "in", out, "--split", "train")
    assert scored.exit_code == 0
    assert scored.output.splitlines()[:3] == done.stdout.splitlines()[:3]
    refused = carvid(*command, "--theta", "0.5")
    assert refused.exit_code == 4
    assert "settings.theta: 0.2 before, 0.5 now" in refused.output


def test_a_split_without_truth_is_packed_for_the_server(tmp_path: Path) -> None:
    write_ref_ytvos(tmp_path / "in", split="valid")
    out = tmp_path / "out"
    done = carvid("benchmark", "ref-ytvos", tmp_path / "in", "-o", out, "--first", "1", "--model", "shapes")
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(out / "ref-ytvos-valid.zip") as packed, packed.open(packed.namelist()[0]) as file:
        mask = np.asarray(Image.open(file))
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}
    scored = carvid("score", "ref-ytvos", tmp_path / "in", out)
    assert scored.exit_code == 2
    assert "not published" in scored.output


def test_refdavis_is_the_same_through_both_commands(tmp_path: Path) -> None:
    write_dataset(tmp_path / "in", clips=1, frames=3)
    both = []
    for command in (("refdavis",), ("benchmark", "refdavis")):
        out = tmp_path / command[0]
        done = carvid(*command, tmp_path / "in", "-o", out, "--model", "shapes", "--no-crf")
        assert done.exit_code == 0, done.output
        both.append({path.relative_to(out): path.read_bytes() for path in (out / "valid").rglob("*.png")})
    assert both[0] == both[1]
    assert len(both[0]) == 12
    figures, scores = (
        json.loads((tmp_path / "benchmark" / name).read_text()) for name in ("figures.json", "scores.json")
    )
    assert figures["overall"]["J&F (identity)"] == scores["averages"]["identity"]["overall"]["J&F-Mean"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("refdavis", ".", "--names", "released"), "--names is 'released'; expected paper with refdavis"),
        (("voc", ".", "--names", "other"), "--names is 'other'; expected paper or released with voc"),
        (("nothing", "."), "no benchmark 'nothing'; expected one of"),
        (("refdavis", ".", "--names", "other"), "--names is 'other'; expected paper with refdavis"),
    ],
)
def test_what_there_is_not_is_said(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = carvid("benchmark", *arguments, "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert message in done.output
