"""The mistakes that are made most often, with the real command: one message, which names what to do instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.labelled import Labelled, scene, write_dataset
from tests.media import moving_square, write_video

LFS_POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"  # as git lfs leaves it
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what people keep beside their videos."""
    folder = tmp_path_factory.mktemp("here")
    video = write_video(folder / "street.mp4", moving_square(3))
    (folder / "empty").mkdir()
    (folder / "clips").mkdir()
    write_video(folder / "clips" / "one.mp4", moving_square(3))
    (folder / "notes.txt").write_text("the red car\nthe dog\n")
    (folder / "page.mp4").write_text("<!DOCTYPE html>\n<html><body>Not found</body></html>\n")
    (folder / "pointer.mp4").write_text(LFS_POINTER)
    write_dataset(folder / "dataset", [Labelled("street.mp4", video, ("a", "b", "c"), scene(3))])
    run = folder / "carvid-street"
    (run / "masks").mkdir(parents=True)
    (run / "run.json").write_text("{}")
    return folder


def carvid(here: Path, *arguments: str, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The command, in that folder, on a machine that is offline and has no weights; `without` some packages."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in without)
    return subprocess.run(
        [sys.executable, "-c", f"import sys; {blocked}from carvid.cli import main; main()", *arguments],
        cwd=here,
        env=variables | {"HF_HOME": str(here / "home"), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


RUN = ("run", "street.mp4", "the red car")
NEW = (*RUN, "-o", "new")
MISTAKES = {
    "no such file": (
        ("run", "stret.mp4", "a car"), 3, "give a video file or a folder of images; did you mean street.mp4?",
    ),
    "an empty folder": (("run", "empty", "a car"), 3, "give a folder that holds images, or a video file"),
    "a folder of videos": (
        ("run", "clips", "a car"), 3,
        "it holds videos, such as one.mp4: give one of them, or all with `carvid annotate clips`",
    ),
    "no query": (("run", "street.mp4"), 2, 'say what to segment, in words: carvid run street.mp4 "the red car"'),
    "query and video swapped": (
        ("run", "the red car", "street.mp4"), 2, "the video comes first: carvid run street.mp4 'the red car'",
    ),
    "no query for a dataset": (
        ("annotate", "clips", "-o", "labels"), 2, "give -q, --queries-file, or queries in the manifest",
    ),
    "preset misspelt": ((*RUN, "--preset", "refcocco"), 2, "did you mean refcoco?"),
    "model misspelt": ((*NEW, "--model", "clip-b61"), 2, "did you mean clip-b16?"),
    "SAM misspelt": ((*NEW, "--sam", "sam2.1-tny"), 2, "did you mean sam2.1-tiny?"),
    "speed misspelt": ((*RUN, "--speed", "balence"), 2, "did you mean balanced?"),
    "command misspelt": (("anotate", "clips"), 2, "Did you mean 'annotate'"),
    "format misspelt": (("export", "dataset", "--to", "yolo", "-o", "out"), 2, "did you mean yolo-seg?"),
    "output exists": ((*RUN, "--model", "shapes"), 4, "choose another one, or give --overwrite"),
    "no CUDA": (
        (*NEW, "--model", "shapes", "--device", "cuda"), 2,
        "leave --device to auto, which takes the fastest there is",
    ),
    "no weights, offline": (
        NEW, 3, "carvid models pull openai/clip-vit-base-patch16) and point HF_HOME at that cache",
    ),
    "a text file": (("run", "notes.txt", "a car"), 3, "it is a text file. Give a video file or a folder of images"),
    "a web page": (("run", "page.mp4", "a car"), 3, "it is a web page, which a download may leave in a video's place"),
    "a pointer of Git LFS": (("run", "pointer.mp4", "a car"), 3, "`git lfs pull` fetches that"),
    "theta out of range": ((*RUN, "--theta", "2"), 2, "theta is 2.0; expected a number from 0 to 1"),
    "a dataset to run": (
        ("run", "dataset", "a car"), 3, "look at it with `carvid status`, `carvid serve` or `carvid export`",
    ),
    "a run to export": (
        ("export", "carvid-street", "--to", "coco", "-o", "out"), 3,
        "a dataset is made with `carvid annotate VIDEO -q QUERY -o DIR`",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "fix"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_fix(here: Path, arguments: tuple[str, ...], code: int, fix: str) -> None:
    before = {path.name for path in here.iterdir()}
    done = carvid(here, *arguments)
    assert done.returncode == code, done.stderr
    assert fix in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert {path.name for path in here.iterdir()} - {"home"} == before - {"home"}


EXTRAS = {
    "decord": ((*NEW, "--reader", "decord"), "pip install 'carvid[decord]'"),
    "uvicorn": (("serve", "dataset", "--no-browser"), "pip install 'carvid[serve]'"),
    "ray": (("annotate", "clips", "-q", "a car", "-o", "labels", "--ray", "local"), "pip install 'carvid[ray]'"),
}  # fmt: skip


@pytest.mark.parametrize("package", EXTRAS)
def test_what_needs_an_extra_names_it(here: Path, package: str) -> None:
    arguments, fix = EXTRAS[package]
    done = carvid(here, *arguments, without=(package,))
    assert done.returncode == 2, done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr
