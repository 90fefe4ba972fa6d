"""Fetching a SAM in a real process, from a small hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from carvid.errors import UsageError
from carvid.sam import catalog
from carvid.sam.names import NAMED_SAMS
from tests.hub_server import serve
from tests.tiny_sam import make_tiny_sam

FETCH = """
import json, sys
from carvid.errors import CarvidError
from carvid.sam import catalog
from carvid.sam.names import resolve_sam
action, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
out = {"seen": []}
try:
    if action == "pull":
        report = lambda repository, done, total: out["seen"].append([repository, done, total])
        out["folders"] = [str(folder) for folder in catalog.pull(name, progress=report)]
    else:
        out["folders"] = [str(catalog.locate(resolve_sam(name), **options))]
except CarvidError as error:
    out["error"], out["exit"] = str(error), error.exit_code
out["cached"] = {entry.name: entry.cached for entry in catalog.list_sams()}
out["torch"] = "torch" in sys.modules
print(json.dumps(out))
"""


def run(tmp_path: Path, endpoint: str, action: str, name: str, **options: bool) -> dict[str, Any]:
    variables = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HF_", "HUGGINGFACE")) and not key.lower().endswith("_proxy")
    }
    home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FETCH, action, name, json.dumps(options)],
        env=variables | home, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_sam_is_fetched_once_and_then_found_offline(tmp_path: Path) -> None:
    folder = make_tiny_sam(tmp_path / "sam")
    (folder / "README.md").write_text("not needed")
    requests: list[str] = []
    with serve({"facebook/sam-vit-base": folder}, requests) as endpoint:
        first = run(tmp_path, endpoint, "pull", "sam-vit-b")
    (where,) = (Path(path) for path in first["folders"])
    assert {path.name for path in where.iterdir()} == {"config.json", "model.safetensors"}
    assert first["seen"][-1][0] == "facebook/sam-vit-base"
    assert first["seen"][-1][1] == first["seen"][-1][2] > 0
    again = run(tmp_path, "http://127.0.0.1:9", "locate", "sam-vit-b", offline=True)
    assert again["folders"] == first["folders"]
    assert not again["torch"]
    assert again["cached"]["sam-vit-b"]
    assert not again["cached"]["sam-vit-h"]
    assert again["cached"]["random:vit-h"]


def test_a_repository_that_is_not_to_be_had_is_named_with_the_ways_out(tmp_path: Path) -> None:
    with serve({}) as endpoint:
        found = run(tmp_path, endpoint, "locate", "org/sam")
    assert "cannot get the weights of org/sam" in found["error"]
    assert str(tmp_path / "home") in found["error"]
    assert "--sam DIR|FILE" in found["error"]
    assert found["exit"] == 3


def test_a_repository_of_pickles_alone_is_refused(tmp_path: Path) -> None:
    folder = make_tiny_sam(tmp_path / "sam")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with serve({"org/sam": folder}) as endpoint:
        found = run(tmp_path, endpoint, "locate", "org/sam")
        allowed = run(tmp_path, endpoint, "locate", "org/sam", allow_pickle=True)
    assert "org/sam holds its weights only as pytorch_model.bin" in found["error"]
    assert "folders" in allowed


def test_every_named_sam_is_listed_with_its_size() -> None:
    listed = {entry.name: entry for entry in catalog.list_sams()}
    assert listed.keys() == NAMED_SAMS.keys()
    assert listed["sam-vit-b"].size_mb == 374.9
    assert listed["random:vit-b"].size_mb == 0
    assert listed["random:vit-b"].cached


def test_nothing_is_fetched_for_random_weights_or_a_path(tmp_path: Path) -> None:
    assert catalog.pull("random:vit-b") == ()
    with pytest.raises(UsageError, match="is a local path: there is nothing to fetch"):
        catalog.pull(str(tmp_path))
