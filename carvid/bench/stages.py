"""Times each stage of a frame separately, in the pipeline as it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carvid.bench.against import evidence
from carvid.frame import Frame
from carvid.result import FrameResult
from carvid.session import Session
from carvid.sinks import MaskSink, OverlaySink, ResultsSink
from carvid.stopwatch import Stopwatch

# In the order in which a frame meets them; stages that a run does not have are left out.
STAGES = (
    "decode", "resize", "trunk", "cam", "affinity", "prompts", "classifier", "crf", "threshold",
    "sam/encoder", "sam/decoder", "sam/filter", "sam/match", "result", "write",
)  # fmt: skip
# The stages that are not part of `Session.step`.
OUTSIDE_SEGMENTER = ("decode", "write")


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of the seconds of several frames."""

    median: float
    q1: float
    q3: float
    frames: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        q1, median, q3 = np.percentile(seconds, [25, 50, 75]).tolist()
        return cls(median, q1, q3, len(seconds))


@dataclass(frozen=True)
class Measured:
    """Frames timed with one query set; without the warm-up frame, except in `totals`.

    stages: for each stage, the seconds of each frame. segment: the seconds of each frame in `Session.step`.
    encoded: per frame, the images that g encoded. dropped: per frame, the queries dropped in the first step.
    results: one per frame. totals: `Session.totals` after all frames, the warm-up frame included.
    """

    stages: dict[str, tuple[float, ...]]
    segment: tuple[float, ...]
    encoded: tuple[int, ...]
    dropped: tuple[int, ...]
    results: tuple[FrameResult, ...]
    totals: Mapping[str, Any]


def measure_stages(session: Session, frames: Sequence[Frame], out: Path, device: torch.device) -> Measured:
    """Segment every frame and write it to the folder `out`; the first is a warm-up frame and is not counted."""
    watch = session.stopwatch = Stopwatch(device)
    queries = session.queries
    laps: list[dict[str, float]] = []
    encoded, results = [], []
    with ExitStack() as stack:
        sinks: list[MaskSink | ResultsSink | OverlaySink] = [
            stack.enter_context(MaskSink(out / "masks", separate=False, n_queries=len(queries))),
            stack.enter_context(ResultsSink(out / "results.jsonl", queries)),
            stack.enter_context(OverlaySink(out / "overlay.mp4", queries, frame_rate=Fraction(25))),
        ]
        for frame in frames:
            seconds, items = dict(watch.seconds), dict(watch.items)
            result = session.step(frame)
            with watch.stage("write"):
                for sink in sinks:
                    sink.write(frame, result)
            laps.append({stage: spent - seconds.get(stage, 0.0) for stage, spent in watch.seconds.items()})
            encoded.append(watch.items["classifier"] - items.get("classifier", 0))
            results.append(result)
    laps = laps[1:]
    return Measured(
        # A stage may first occur in a later frame: SAM's stages do in the first frame that has a mask.
        stages={name: tuple(lap.get(name, 0.0) for lap in laps) for name in STAGES if name in laps[-1]},
        segment=tuple(
            sum(spent for name, spent in lap.items() if name not in OUTSIDE_SEGMENTER) for lap in laps
        ),
        encoded=tuple(encoded[1:]),
        dropped=tuple(_dropped(result) for result in results[1:]),
        results=tuple(results[1:]),
        totals=session.totals,
    )


def _dropped(result: FrameResult) -> int:
    """How many queries the first step dropped: N - 1 where none passed, as the best one is kept."""
    steps = evidence(result).steps
    first = steps[0].live
    if len(steps) > 1:
        return len(first) - len(steps[1].live)
    return len(first) - max(1, sum(query.present for query in result.queries))
