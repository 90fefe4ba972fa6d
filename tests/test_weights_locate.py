"""What is located, and fetching in a real process, from a small hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from carvid.clip.load import load_pair
from carvid.clip.names import resolve_pair
from carvid.errors import WeightsError
from carvid.sam.names import resolve_sam
from carvid.weights.locate import Located, locate, locate_all
from tests.hub_server import serve
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam

FETCH = """
import json, sys
from carvid.errors import CarvidError
from carvid.clip.names import resolve_spec
from carvid.sam.names import NAMED_SAMS, SAM, resolve_sam
from carvid.weights import catalog
from carvid.weights.locate import locate, locate_all
action, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
out = {"seen": []}
try:
    if action == "pull":
        report = lambda repository, done, total: out["seen"].append([repository, done, total])
        out["folders"] = [str(folder) for folder in catalog.pull(name, NAMED_SAMS, SAM, progress=report)]
    elif action == "all":
        clip = resolve_spec("org/clip", "proposer")
        locate_all(clip, clip, resolve_sam(name), **options)
    else:
        out["folders"] = [str(locate(resolve_sam(name), **options).folder)]
except CarvidError as error:
    out["error"], out["exit"] = str(error), error.exit_code
out["cached"] = {entry.name: entry.cached for entry in catalog.list_models(NAMED_SAMS.values())}
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


def test_an_unavailable_repository_is_named_with_the_ways_out(tmp_path: Path) -> None:
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


def test_that_sam_is_unavailable_is_told_before_clip_is_fetched(tmp_path: Path) -> None:
    requests: list[str] = []
    clip = make_tiny_clip(tmp_path / "clip")
    with serve({"org/clip": clip}, requests) as endpoint:
        found = run(tmp_path, endpoint, "all", "org/sam")
    assert "cannot get the weights of org/sam" in found["error"]
    assert not any("org/clip" in request for request in requests)
    assert not found["torch"]


def test_everything_is_located_once(tmp_path: Path) -> None:
    folder = make_tiny_clip(tmp_path / "clip")
    f, g = resolve_pair(folder)
    found = locate_all(f, g, resolve_sam("random:vit-b"))
    assert found.proposer == found.classifier == Located(f, (folder / "model.safetensors",), False)
    assert found.sam is not None
    assert found.sam.weights == ()
    assert locate(found.proposer, offline=True) is found.proposer
    # what is located is loaded without another look at the names
    loaded, same = load_pair(
        found.proposer, found.classifier, device=torch.device("cpu"), dtype=torch.float32
    )
    assert loaded is same
    assert loaded.source == str(folder)


def test_a_folder_or_file_that_will_not_be_read_is_refused_at_once(tmp_path: Path) -> None:
    folder = make_tiny_clip(tmp_path / "clip")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    spec, _ = resolve_pair(folder)
    with pytest.raises(WeightsError, match=r"only as pytorch_model.bin, which is a pickle"):
        locate(spec)
    assert locate(spec, allow_pickle=True).allow_pickle
    spec, _ = resolve_pair(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model.bin is a pickle: pass --allow-pickle"):
        locate(spec)
