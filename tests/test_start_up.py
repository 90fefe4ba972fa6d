"""What each command imports, as real processes: importing is nearly all that a short run waits for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.labelled import Labelled, scene, write_dataset
from tests.media import moving_square, write_video
from tests.tiny_clip import make_tiny_clip

#: What takes a tenth of a second or more to import, and neither a run nor a light command needs.
HEAVY = {
    "transformers",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.tensor",
    "torch.fx.experimental.symbolic_shapes",
    "sympy",
    "scipy",
}
#: With transformers' CLIPModel there were more than 3000.
MOST_MODULES = 2000


def imported(*command: object) -> set[str]:
    """The modules that a command of carvid's imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "carvid", *map(str, command)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stderr.splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.parametrize("model", ["embedded", "folder"])
def test_a_run_imports_torch_and_little_else(tmp_path: Path, model: str) -> None:
    write_video(tmp_path / "square.mp4", moving_square(3))
    chosen = "shapes" if model == "embedded" else make_tiny_clip(tmp_path / "clip", patch=16)
    found = imported(
        "run", tmp_path / "square.mp4", "a red square", "--model", chosen, "-o", tmp_path / "out"
    )
    assert (tmp_path / "out" / "masks" / "00000.png").exists()
    assert {"torch", "carvid.model"} <= found
    assert found & {*HEAVY, "carvid.weights.hub"} == set()
    assert len(found) < MOST_MODULES


LIGHT = {
    "version": ["--version"],
    "help": ["--help"],
    "help of run": ["run", "--help"],
    "models": ["models"],
    "status": ["status", "DATASET"],
    "export": ["export", "DATASET", "--to", "coco", "-o", "OUT"],
}


@pytest.mark.parametrize("command", LIGHT.values(), ids=LIGHT)
def test_light_commands_import_no_torch(tmp_path: Path, command: list[str]) -> None:
    source = write_video(tmp_path / "square.mp4", moving_square(3))
    video = Labelled("square.mp4", source, ("a", "b", "c"), scene(3))
    dataset = write_dataset(tmp_path / "dataset", [video])
    places = {"DATASET": dataset, "OUT": tmp_path / "out"}
    found = imported(*(places.get(word, word) for word in command))
    assert "carvid.cli" in found
    assert found & {"torch", *HEAVY} == set()


def test_the_benchmark_ends_where_a_run_writes_no_mask(tmp_path: Path) -> None:
    script = Path(__file__).resolve().parents[1] / "scripts" / "bench_startup.py"
    done = subprocess.run(
        [sys.executable, script, "--runs", "1", "--model", tmp_path / "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "it ended without a mask (exit code 3):" in done.stderr
    assert "nowhere" in done.stderr
