"""`carvid doctor` as a user runs it, whatever is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from carvid.doctor import probe as probing
from carvid.doctor.found import scrubbed
from tests.hub_server import serve
from tests.tiny_clip import make_tiny_clip


def doctor(home: Path, *options: str, endpoint: str = "", without: tuple[str, ...] = ()) -> str:
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    variables = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    variables |= {
        "HF_HOME": str(home),
        "HOME": str(home.parent),
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_DISABLE_XET": "1",
    }
    variables |= {"HF_ENDPOINT": endpoint} if endpoint else {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {blocked}from carvid.cli import main; main()", "doctor", *options],
        env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_a_line_for_each_part_and_none_of_them_tells_whose_machine_it_is(tmp_path: Path) -> None:
    told = doctor(tmp_path / "home", "--no-probe")
    lines = {line.split()[0]: line for line in told.splitlines()}
    assert list(lines) == [
        "carvid", "python", "packages", "ffmpeg", "readers", "extras", "system", "processor", "memory", "devices",
        "weights", "hub",
    ]  # fmt: skip
    assert "libavcodec" in lines["ffmpeg"]
    assert "pyav" in lines["readers"]
    assert "cpu in float32" in lines["devices"]
    assert "none of those that `carvid models` names" in lines["weights"]
    assert lines["hub"].endswith("not asked: HF_HUB_OFFLINE is set; set: HF_HOME, HF_HUB_OFFLINE")
    assert str(tmp_path) not in told
    assert str(Path.home()) not in told


def test_weights_in_the_cache_are_told_whole_or_begun(tmp_path: Path) -> None:
    home = tmp_path / "home"
    begun = home / "hub" / "models--facebook--sam-vit-base" / "blobs"
    begun.mkdir(parents=True)
    (begun / "4d7a.incomplete").write_bytes(b"0" * 2_000_000)
    with serve({"openai/clip-vit-base-patch16": make_tiny_clip(tmp_path / "clip")}) as endpoint:
        fetch = "from carvid.clip.names import resolve_spec; from carvid.weights.hub import fetch; "
        variables = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
        variables = {**variables, "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "0"}
        code = fetch + "fetch(resolve_spec('clip-b16', 'proposer'))"
        subprocess.run([sys.executable, "-c", code], env=variables, check=True)
        found = json.loads(doctor(home, "--no-probe", "--json", endpoint=endpoint))
    cached = found["weights"]["cached"]
    assert cached["openai/clip-vit-base-patch16"]["complete"]
    assert cached["facebook/sam-vit-base"] == {"complete": False, "bytes": 2_000_000}
    assert found["hub"] == {"answers": True, "set": ["HF_HOME", "HF_ENDPOINT"]}


def test_what_is_not_there_hides_nothing_else(tmp_path: Path) -> None:
    told = doctor(tmp_path / "home", without=("torch", "av", "cv2", "decord", "huggingface_hub"))
    lines = {line.split()[0]: line for line in told.splitlines()}
    assert "not there" in lines["ffmpeg"]
    assert "none: " in lines["readers"]
    assert "torch cannot be used" in lines["devices"]
    assert "huggingface_hub cannot be used" in lines["weights"]
    assert "not measured: " in lines["shapes"]
    assert "cores usable" in lines["processor"]


def test_the_probe_measures_the_embedded_model_and_says_that_it_is_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "_CLIP_WITHIN_SECONDS", 0.0)
    said: list[str] = []
    small, clip = probing.probe("cpu", said.append)
    assert "--no-probe" in said[0]
    assert "small embedded model, not a CLIP" in small.words
    assert small.data["device"] == "cpu"
    assert small.data["key_seconds"] > 0
    assert clip.words.startswith("not measured: `shapes` took")
    assert clip.words.endswith("`carvid bench --queries 1 --frames 1` measures it")


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    (only,) = probing.probe("cuda:99", lambda line: None)
    assert only.words.startswith("not measured: no device cuda:99")


def test_messages_lose_folders_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("LOGNAME", "ada")
    assert (
        scrubbed("cannot open /home/ada/lib/libcuda.so: no such file")
        == "cannot open libcuda.so: no such file"
    )
    assert scrubbed(r"C:\Users\ada\torch\lib\c10.dll is missing") == "c10.dll is missing"
    assert scrubbed("ada may not") == "USER may not"
    assert scrubbed("25/2 frames, and/or more") == "25/2 frames, and/or more"
