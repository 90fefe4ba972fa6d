"""What speed is worth: a frame with the recipe's working sizes beside whole frames, large frames beside small ones, and
a whole run beside the exact one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from carvid.bench.clip import scaled
from carvid.frame import Frame
from carvid.measures.pair import iou
from carvid.model import Model
from carvid.pipeline import OutputOptions, run_job
from carvid.recipe import at_speed
from carvid.session import Session
from carvid.stopwatch import Stopwatch, synchronise
from carvid.stream import open_frames
from carvid.video_session import open_session

#: (width, height) in px of the frames that larger ones are compared with.
SMALL = (854, 480)
#: Frames of the exact run, whose cost does not depend on the frame.
EXACT_FRAMES = 3
# What f and g do, with what they see and the prompts between them.
_MODEL_STAGES = ("resize", "trunk", "cam", "affinity", "prompts", "classifier")


@dataclass(frozen=True)
class Compared:
    """Seconds of what was asked for beside those of something slower or smaller, in the same run.

    what: the comparison, in words. seconds, other: per frame, by carvid as asked and by the other. frames,
    other_frames: how many were timed. iou: the mean IoU of the masks of both, over queries that have one in either;
    None where masks are not compared or there are none.
    """

    what: str
    seconds: float
    other: float
    frames: int
    other_frames: int
    iou: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the other's seconds are."""
        return self.other / self.seconds


def against_full(model: Model, queries: Sequence[str], frames: Sequence[Frame]) -> Compared:
    """Each frame as the recipe has it and whole, turn by turn; the first frame is a warm-up."""
    whole = Model(at_speed(model.recipe, "exact"), model.proposer, model.classifier, model.sam)
    sessions = [each.session(queries) for each in (model, whole)]
    seconds: list[list[float]] = [[], []]
    shares = []
    for i, frame in enumerate(frames):
        masks = []
        for session, spent in zip(sessions, seconds, strict=True):
            synchronise(model.proposer.device)
            started = time.perf_counter()
            masks.append(session.step(frame).masks)
            synchronise(model.proposer.device)
            if i:
                spent.append(time.perf_counter() - started)
        shares += [iou(ours, theirs) for ours, theirs in zip(*masks, strict=True) if (ours | theirs).any()]
    ours, theirs = (float(np.median(spent)) for spent in seconds)
    count = len(frames) - 1
    return Compared(
        "a frame whole (--speed exact)",
        ours,
        theirs,
        count,
        count,
        float(np.mean(shares)) if shares else None,
    )


def against_small(model: Model, queries: Sequence[str], frames: Sequence[Frame]) -> Compared:
    """The models' stages on each frame and on the same frame at SMALL, turn by turn; the first is a warm-up."""
    device = model.proposer.device
    sessions = [model.session(queries) for _ in range(2)]
    seconds: list[list[float]] = [[], []]
    for i, frame in enumerate(frames):
        small = Frame(frame.index, frame.pts_seconds, scaled(frame.image, SMALL), frame.name)
        for session, spent, each in zip(sessions, seconds, (frame, small), strict=True):
            taken = _model_seconds(session, each, device)
            if i:
                spent.append(taken)
    ours, theirs = (float(np.median(spent)) for spent in seconds)
    count = len(frames) - 1
    return Compared(f"the models' stages of a frame at {SMALL[0]}x{SMALL[1]}", ours, theirs, count, count)


def _model_seconds(session: Session, frame: Frame, device: torch.device) -> float:
    watch = session.stopwatch = Stopwatch(device)
    session.step(frame)
    return sum(watch.seconds.get(stage, 0.0) for stage in _MODEL_STAGES)


def against_exact(model: Model, queries: Sequence[str], source: Path, frames: int, out: Path) -> Compared:
    """A run over a video beside one at `--speed exact`, decoding, key frames and writing included.

    The exact run ends after EXACT_FRAMES frames.
    """
    whole = Model(at_speed(model.recipe, "exact"), model.proposer, model.classifier, model.sam)
    ours, count = _run(model, queries, source, frames, out / "ours")
    theirs, few = _run(whole, queries, source, min(frames, EXACT_FRAMES), out / "exact")
    return Compared("a frame of a run at --speed exact", ours, theirs, count, few)


def _run(model: Model, queries: Sequence[str], source: Path, frames: int, out: Path) -> tuple[float, int]:
    """The seconds of a run per frame, and its frames."""
    with (
        open_frames(source, stop_frame=frames) as stream,
        closing(open_session(model.session, queries, model.recipe)) as session,
    ):
        summary = run_job(stream, session, out, output=OutputOptions(overwrite=True))
    return summary.seconds["total"] / summary.frames, summary.frames
