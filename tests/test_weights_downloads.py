"""What is told before weights are fetched, and how the command line tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from carvid.cli import download_progress
from carvid.cli.download_progress import DownloadProgress, announcement, in_bytes
from carvid.errors import WeightsError
from carvid.weights import hub
from carvid.weights.downloads import Download, Wanted
from tests.hub_server import serve
from tests.media import moving_square, write_video
from tests.tiny_clip import make_tiny_clip

B16, L14 = "openai/clip-vit-base-patch16", "openai/clip-vit-large-patch14"
BOTH = Download(
    (
        Wanted(B16, ("model.safetensors", "config.json"), 598_500_000),
        Wanted(L14, ("model.safetensors",), 1_710_500_000),
    ),
    "/cache/hub",
    "name a local folder (--model DIR)",
)


def test_the_announcement_says_what_how_big_where_to_how_long_and_what_else() -> None:
    assert announcement(BOTH) == [
        "weights that are not on this machine yet will be fetched, 2.3 GB:",
        f"  {B16}: model.safetensors, config.json (598 MB)",
        f"  {L14}: model.safetensors (1.7 GB)",
        "  into /cache/hub (HF_HOME names another place)",
        "  how long that takes depends on the network: at 100 Mbit/s, about 3.1 min",
        f"  without a network here: fetch them on another machine (carvid models pull {B16}; "
        f"carvid models pull {L14}), copy its cache folder and point HF_HOME at the copy; name a local folder "
        "(--model DIR)",
    ]


def test_no_time_is_invented_for_an_unknown_size() -> None:
    unknown = Download((Wanted("org/name", ("model.safetensors",), None),), "/cache/hub", "wait")
    lines = announcement(unknown)
    assert lines[0].endswith("of unknown size:")
    assert lines[1].endswith("(size unknown)")
    assert not any("Mbit" in line for line in lines)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (479_000, "479 kB"), (5_400_000, "5.4 MB"), (2.3e9, "2.3 GB")]
)  # fmt: skip
def test_sizes_in_words(size: float, words: str) -> None:
    assert in_bytes(size) == words


def test_a_download_survives_json() -> None:
    assert Download.from_json(BOTH.to_json()) == BOTH


def test_the_time_left_comes_from_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 1.0, 10.0, 12.0])
    monkeypatch.setattr(download_progress, "time", SimpleNamespace(monotonic=lambda: next(now)))
    told = DownloadProgress()
    told.begin(BOTH)
    capsys.readouterr()
    told.advance(B16, 50_000_000, 598_500_000)
    assert capsys.readouterr().err == ""  # after one second nobody knows
    told.advance(B16, 100_000_000, 598_500_000)
    # 2209 MB are left, at 10 MB/s.
    assert capsys.readouterr().err == "carvid: 100 MB fetched, 10 MB/s, about 3.7 min left\n"
    told.advance(B16, 120_000_000, 598_500_000)
    assert capsys.readouterr().err == ""  # the next line comes ten seconds later


def carvid(home: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    variables |= {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "carvid", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_a_run_tells_of_all_its_weights_before_it_fetches_the_first(tmp_path: Path) -> None:
    video = str(write_video(tmp_path / "square.mp4", moving_square(2)))
    folder = make_tiny_clip(tmp_path / "clip", patch=16)
    size = in_bytes(2 * sum(path.stat().st_size for path in folder.iterdir()))
    with serve({B16: folder, L14: folder}) as endpoint:
        first = carvid(tmp_path / "home", endpoint, "run", video, "a car", "-o", str(tmp_path / "1"))
    assert first.returncode == 0, first.stderr
    assert f"not on this machine yet will be fetched, {size}:" in first.stderr
    assert f"{B16}: model.safetensors, config.json" in first.stderr
    assert f"{L14}: model.safetensors, config.json" in first.stderr
    assert f"into {tmp_path / 'home' / 'hub'}" in first.stderr
    assert "--model shapes" in first.stderr


def test_workers_pass_on_what_they_are_about_to_fetch(tmp_path: Path) -> None:
    video = str(write_video(tmp_path / "square.mp4", moving_square(2)))
    folder = make_tiny_clip(tmp_path / "clip", patch=16)
    with serve({B16: folder}) as endpoint:
        out = ("-q", "a car", "--model", "clip-b16", "-o", str(tmp_path / "dataset"))
        done = carvid(tmp_path / "home", endpoint, "annotate", video, *out)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(f"{B16}: model.safetensors") == 1


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "none" / "hub"))
    with pytest.raises(WeightsError, match=r"the weights take 10{12} MB, and \d+ MB are free .* HF_HOME"):
        hub._check_room(10**18)
