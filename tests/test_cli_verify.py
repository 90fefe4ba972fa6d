"""`carvid verify` as a user runs it: real processes, exit codes, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verify_cases import QUERIES, copied, edit_json, write_clip


def carvid(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-m", "carvid", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, check=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    clip = write_clip(folder / "in", 2)
    done = carvid(
        "run", clip, *QUERIES, "--model", "shapes", "--device", "cpu", "--keyframes", 1, "-o", folder / "out"
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_an_untouched_run_exits_zero_with_a_line_for_each_check(out: Path) -> None:
    done = carvid("verify", out, "--rerun", 1, "--seed", 3)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(": ")[:2] for line in lines[:-1]] == [
        [name, "ok"]
        for name in (
            "run",
            "source",
            "weights of the proposer",
            "weights of the classifier",
            "settings",
            "results.jsonl",
            "lines of results.jsonl",
            "masks",
            "rerun",
        )
    ]
    assert lines[-1] == "9 ok, 0 differ, 0 cannot be checked"


def test_what_differs_exits_one_and_is_told_as_json(out: Path, tmp_path: Path) -> None:
    changed = copied(out, tmp_path / "out")
    (changed / "masks" / "00001.png").unlink()
    done = carvid("verify", changed, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert told["counts"] == {"ok": 7, "differs": 1}
    (fault,) = [check for check in told["checks"] if check["state"] == "differs"]
    assert fault["name"] == "masks"
    assert "00001.png cannot be read" in fault["why"]


def test_a_rerun_that_cannot_compare_exits_one(out: Path, tmp_path: Path) -> None:
    moved = copied(out, tmp_path / "out")
    edit_json(moved / "run.json", lambda told: told["source"].update(path=str(tmp_path / "gone")))
    assert carvid("verify", moved).returncode == 0
    done = carvid("verify", moved, "--rerun", 1)
    assert done.returncode == 1
    assert "rerun: cannot be checked: the source is not here as recorded" in done.stdout
    assert "source: ok" in carvid("verify", moved, "--source", out.parent / "in").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{gone}"], 3, "is not there"),
        (["{empty}"], 3, "holds neither run.json nor annotations.sqlite"),
        (["{empty}", "--rerun", "0"], 2, "rerun is 0; expected at least 1 frame"),
    ],
)
def test_what_cannot_be_verified_is_one_message_and_an_exit_code(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"gone": tmp_path / "gone", "empty": tmp_path / "empty"}
    done = carvid("verify", *(each.format(**places) for each in arguments))
    assert done.returncode == code
    assert message in done.stderr
    assert done.stdout == ""
