"""Completion in a real bash, and what completing imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Completes what stands after the last space of each line, as Tab does.
SCRIPT = """
eval "$(carvid --show-completion)"
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "$line"
    [[ "$line" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMPREPLY=()
    "$(complete -p carvid | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" carvid
    echo "${COMPREPLY[*]}"
done
"""

TYPED = {
    "carvid ex": "export",
    "carvid run video.mp4 car --preset sha": "shapes shapes-classes",
    "carvid annotate videos --model clip-": "clip-b16",
    "carvid export dataset --to y": "ytvis ytvos yolo-seg",
    "carvid run video.mp4 car --speed ": "exact balanced live",
}


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a command `carvid` that is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "carvid").write_text(f'#!/bin/sh\nexec {sys.executable} -m carvid "$@"\n')
    (folder / "carvid").chmod(0o755)
    return folder


def test_bash_completes_commands_options_and_names(command: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "--norc", "-c", SCRIPT],
        input="".join(f"{line}\n" for line in TYPED),
        env={**os.environ, "PATH": f"{command}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert dict(zip(TYPED, done.stdout.splitlines(), strict=True)) == TYPED


def test_completing_imports_no_torch_and_no_reader() -> None:
    words = "carvid run video.mp4 car --model cl"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "carvid"],
        env={**os.environ, "_CARVID_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "5"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["clip", "clip-b16"]
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "carvid.cli" in imported
    assert imported & {"torch", "av", "cv2", "transformers", "huggingface_hub", "scipy"} == set()
