"""`carvid models pull` in a real process, from a small hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub_server import serve
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam


def carvid(home: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {
        key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE"))
    }
    variables |= {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "carvid", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("make", "files"),
    [
        (make_tiny_sam, {"config.json", "model.safetensors"}),
        (make_tiny_clip, {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer_config.json",
                          "vocab.json", "merges.txt"}),
    ],
)  # fmt: skip
def test_a_repository_of_either_kind_is_pulled(tmp_path: Path, make, files) -> None:
    with serve({"org/name": make(tmp_path / "repository")}) as endpoint:
        done = carvid(tmp_path / "home", endpoint, "models", "pull", "org/name")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in Path(done.stdout.strip()).iterdir()} == files


def test_a_name_that_is_nothing_is_a_usage_error(tmp_path: Path) -> None:
    done = carvid(tmp_path / "home", "http://127.0.0.1:9", "models", "pull", "klip")
    assert done.returncode == 2
    assert "unknown model 'klip': expected one of clip, clip-b16, shapes" in done.stderr
