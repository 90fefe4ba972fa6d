"""Shared by the tests of sinks and job: frames with a moving square, and a segmenter that finds it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from carvid.evidence import Evidence, RecurrentStep
from carvid.frame import Frame
from carvid.result import FrameResult, ObjectResult
from carvid.stream.source import Damage, Selection, StreamInfo

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)
NASTY_QUERIES = (
    'the "red" car / ../../etc',
    "line\nbreak\r\tand {braces} {0} %s",
    "\U0001f697 emoji, 赤い車, красная, ab, \u2028, \udcff",
)


def square_frame(index: int, *, height: int = 48, width: int = 64, colour: tuple[int, ...] = RED) -> Frame:
    """A grey frame with a 12 px square that moves right by 2 px a frame."""
    image = np.full((height, width, 3), 90, np.uint8)
    left = (2 * index) % max(1, width - 12)
    image[6:18, left : left + 12] = colour
    return Frame(index, index / 25, image, f"{index:05}")


def result_for(frame: Frame, masks: Sequence[np.ndarray], scores: Sequence[float]) -> FrameResult:
    """A result whose label map gives each pixel to the first of the masks that holds it."""
    stacked = np.array(masks, np.bool_)
    label_map = np.where(stacked.any(0), stacked.argmax(0) + 1, 0).astype(np.uint8)
    return FrameResult(
        index=frame.index,
        pts_seconds=frame.pts_seconds,
        name=frame.name,
        label_map=label_map,
        objects=tuple(
            ObjectResult(i, "", mask, float(np.float32(score)), bool(mask.any()))
            for i, (mask, score) in enumerate(zip(stacked, scores, strict=True), start=1)
        ),
        evidence=Evidence(
            steps=(RecurrentStep(tuple(range(len(masks))), tuple(map(float, scores))),),
            read_proposals=lambda: stacked.astype(np.float32),
        ),
    )


class SquareSegmenter:
    """Query i is present where the frame shows the i-th colour; `on_step` is called before each frame."""

    def __init__(
        self,
        queries: Sequence[str] = ("red", "green"),
        colours: Sequence[tuple[int, ...]] = (RED, GREEN, BLUE),
        on_step: Any = None,
        batch: int = 1,
    ) -> None:
        self.queries = tuple(queries)
        self.colours = colours[: len(queries)]
        self.seconds = {"clip": 5.0}
        self.on_step = on_step
        self.batch = batch

    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        return map(self.step, frames)

    def finish(self) -> Iterator[FrameResult]:
        return iter(())

    def settle(self) -> Iterator[FrameResult]:
        return iter(())

    def step(self, frame: Frame) -> FrameResult:
        if self.on_step is not None:
            self.on_step(frame)
        self.seconds["clip"] += 0.25
        masks = [(frame.image == np.array(colour, np.uint8)).all(-1) for colour in self.colours]
        return result_for(frame, masks, [0.9 if mask.any() else 0.1 for mask in masks])

    @property
    def totals(self) -> Mapping[str, Any]:
        return {"squares": len(self.seconds)}

    def describe(self) -> Mapping[str, Any]:
        return {"proposer": {"name": "squares", "sha256": "0" * 64}, "theta": 0.3}


class ListStream:
    """A stream over frames in memory, with what a source file would say of itself."""

    def __init__(
        self,
        frames: Sequence[Frame],
        path: Path,
        *,
        frame_rate: Fraction | None = Fraction(30000, 1001),
        damage: tuple[Damage, ...] = (),
        every: int = 1,
    ) -> None:
        self.frames = frames
        height, width = frames[0].image.shape[:2] if frames else (1, 1)
        self.info = StreamInfo(
            name=path.name,
            path=path,
            kind="video",
            width=width,
            height=height,
            frame_rate=frame_rate,
            time_base=Fraction(1, 30000),
            frames_claimed=len(frames) * every,
            selection=Selection(0, None, every),
        )
        self.damage = damage

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)


def read_video(path: Path) -> tuple[list[np.ndarray], Fraction]:
    """The frames of a video as (H, W, 3) uint8 RGB, and its frame rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream.average_rate


def names_under(folder: Path) -> list[str]:
    """Every file and folder below, relative, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: writing fails half-way, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A real file system of its own, mounted at `folder`; skips where this process may not mount one."""
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("no mount command")
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
