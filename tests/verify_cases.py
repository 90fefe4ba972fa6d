"""Runs of the embedded model on a drawn clip, quick enough for tests to make a few, and ways to tamper with them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.engines import EngineSession
from carvid.frame import Frame
from carvid.loading import load_model
from carvid.model import Model
from carvid.pipeline import OutputOptions, RunSummary, run_job
from carvid.recipe import load_recipe
from carvid.result import FrameResult
from carvid.shapes.drawn_tree import write_jpeg
from carvid.shapes.scenes import draw_background, draw_scene, random_thing
from carvid.stream import open_frames
from carvid.verify.check import Check
from carvid.video_session import open_session

HEIGHT, WIDTH = 160, 284
QUERIES = ("the red square", "the blue circle")
LEFT = "the red square on the left"


def draw(count: int) -> list[NDArray[np.uint8]]:
    """(H, W, 3) uint8 RGB each: two red squares that move right, the right one larger, and a blue circle."""
    rng = np.random.default_rng(5)
    background, grounds = draw_background(rng, HEIGHT, WIDTH)
    red = random_thing(rng, HEIGHT, WIDTH, "red", "square", 0.15, 0.15)
    blue = random_thing(rng, HEIGHT, WIDTH, "blue", "circle", 0.15, 0.15)
    scenes = []
    for t in range(count):
        things = (
            replace(red, x_px=50 + 2 * t, y_px=45, radius_px=20),
            replace(red, x_px=200 + t, y_px=60, radius_px=28),
            replace(blue, x_px=130, y_px=110, radius_px=22),
        )
        scenes.append(draw_scene(background, grounds, things).image)
    return scenes


def write_clip(folder: Path, count: int) -> Path:
    """The drawn clip as a folder of images."""
    folder.mkdir(parents=True)
    for t, image in enumerate(draw(count)):
        write_jpeg(folder / f"{t:05d}.jpg", image)
    return folder


def load(**options: Any) -> Model:
    return load_model(load_recipe(model="shapes", device="cpu", **{"size": 224, "crf": False, **options}))


class StopAfter:
    """Progress of a run that presses Ctrl-C after some frames."""

    def __init__(self, frames: int) -> None:
        self._left = frames

    def start(self, total: int | None) -> None:
        """Nothing."""

    def observe(self, session: EngineSession) -> None:
        """Nothing."""

    def advance(self, frame: Frame, result: FrameResult) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGINT)

    def finish(self) -> None:
        """Nothing."""


def run(
    source: Path,
    out: Path,
    model: Model,
    queries: Iterable[str] = QUERIES,
    *,
    separate: bool = False,
    overlay: bool = False,
    progress: StopAfter | None = None,
    **stream: Any,
) -> RunSummary:
    """As `carvid run` does."""
    with (
        open_frames(source, **stream) as frames,
        closing(open_session(model.session, tuple(queries), model.recipe)) as session,
    ):
        return run_job(
            frames,
            session,
            out,
            output=OutputOptions(separate=separate, overlay=overlay),
            command=["carvid", "run"],
            stream_options={"reader": "pyav", "strict": False},
            progress=progress,
        )


def states(checks: Iterable[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def copied(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place)
    return place


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def edit_line(path: Path, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a line of results.jsonl, counted from 0."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines[number])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
