"""Seconds from starting `carvid run` to its first mask on disk, and of the commands that need no model.

    python scripts/bench_startup.py --against ../carvid-before --runs 7

The clip is drawn; the model is `shapes` by default. With --against PATH, another checkout of carvid takes turns with
this one; both run under this Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path
from statistics import median
from typing import NoReturn

HERE = Path(__file__).resolve().parents[1]
QUERY = "a red circle"
# How often it is looked for the first mask: far less than the differences of interest.
POLL_SECONDS = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout of carvid")
    parser.add_argument("--runs", type=int, default=7, help="times that each command is run in each checkout")
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--frames", type=int, default=12, help="frames of the drawn clip")
    given = parser.parse_args()
    trees = [HERE] if given.against is None else [HERE, given.against.resolve()]
    with tempfile.TemporaryDirectory(prefix="carvid-startup-") as name:
        folder = Path(name)
        draw(folder / "videos" / "clip.mp4", given.frames)
        print(header(trees, given.runs), flush=True)
        for title, measure in measures(folder, given.model).items():
            seconds: dict[Path, list[float]] = {tree: [] for tree in trees}
            # The first round reads files into the system's cache and compiles; it is not counted.
            for number in range(-1, given.runs):
                for tree in trees:
                    spent = measure(tree)
                    if number >= 0:
                        seconds[tree].append(spent)
            print(row(title, list(seconds.values())), flush=True)


def draw(path: Path, frames: int) -> None:
    from carvid.media.video_writer import VideoWriter
    from carvid.shapes.scenes import moving_clip

    path.parent.mkdir()
    with VideoWriter(path, Fraction(24)) as writer:
        for scene in moving_clip(0, frames):
            writer.write(scene.image)


def measures(folder: Path, model: str) -> dict[str, Callable[[Path], float]]:
    """What is measured: functions of a checkout that return seconds."""
    clip, numbers = folder / "videos" / "clip.mp4", count()

    @cache
    def dataset(tree: Path) -> Path:
        """A dataset that this checkout has labelled; another may store it otherwise."""
        out = folder / f"dataset-{next(numbers)}"
        finish(tree, "annotate", clip.parent, "-q", QUERY, "--model", model, "--device", "cpu", "-o", out)
        return out

    def first_mask(tree: Path) -> float:
        out = folder / f"run-{next(numbers)}"
        return until_first_mask(tree, out, "run", clip, QUERY, "--model", model, "-o", out)

    def status(tree: Path) -> float:
        known = dataset(tree)
        return finish(tree, "status", known)

    def export(tree: Path) -> float:
        known = dataset(tree)
        return finish(tree, "export", known, "--to", "coco", "-o", folder / f"export-{next(numbers)}")

    return {
        f"`run clip.mp4 ... --model {model}` to the first mask": first_mask,
        "`--help`": lambda tree: finish(tree, "--help"),
        "`models`": lambda tree: finish(tree, "models"),
        "`status`": status,
        "`export --to coco`": export,
    }


def start(tree: Path, log: Path, arguments: Sequence[object]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "carvid", *map(str, arguments)],
            stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=log.parent,
        )  # fmt: skip


def until_first_mask(tree: Path, out: Path, *arguments: object) -> float:
    """Seconds until a mask lies in `out`. Ends the program if there is none, or if the run fails after it."""
    with tempfile.TemporaryDirectory() as name:
        log, begun = Path(name, "log"), time.perf_counter()
        process = start(tree, log, arguments)
        seconds = None
        while seconds is None:
            ended = process.poll() is not None
            if any(out.glob("masks/*.png")):
                seconds = time.perf_counter() - begun
            elif ended:
                fail(process, log, "it ended without a mask", arguments)
            else:
                time.sleep(POLL_SECONDS)
        if process.wait():
            fail(process, log, "it failed after its first mask", arguments)
    return seconds


def finish(tree: Path, *arguments: object) -> float:
    """Seconds that a command takes. Ends the program if it fails."""
    with tempfile.TemporaryDirectory() as name:
        log, begun = Path(name, "log"), time.perf_counter()
        process = start(tree, log, arguments)
        if process.wait():
            fail(process, log, "it failed", arguments)
        return time.perf_counter() - begun


def fail(process: subprocess.Popen[bytes], log: Path, what: str, arguments: Sequence[object]) -> NoReturn:
    said = log.read_text(errors="replace")[-2000:]
    sys.exit(f"carvid {' '.join(map(str, arguments))}: {what} (exit code {process.returncode}):\n{said}")


def header(trees: Sequence[Path], runs: int) -> str:
    cells = [f"command, median of {runs}", "this checkout, s"]
    if len(trees) > 1:
        cells += [f"{trees[1].name}, s", "share"]
    return "| " + " | ".join(cells) + " |\n" + "|---" * len(cells) + "|"


def row(title: str, seconds: Sequence[Sequence[float]]) -> str:
    medians = [median(spent) for spent in seconds]
    cells = [title, *(f"{each:.2f}" for each in medians)]
    if len(medians) > 1:
        cells.append(f"{medians[0] / medians[1]:.2f}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
