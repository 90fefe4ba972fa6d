"""Predictions with a folder of masks for each expression of a video, and J and F of them.

<folder>/<video>/<expression>/<frame>.png      0 is background, everything else the mask
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.evaluate.contract import Asked, Missing, Sample
from carvid.evaluate.figures import Figure
from carvid.evaluate.truth_png import png_problem, read_labels
from carvid.measures.pair import boundary_f, iou
from carvid.paths import is_dir, is_file
from carvid.problems import refuse_if_any
from carvid.result import FrameResult

REMEDY = "Run the samples that these are of again; to score, missing masks can count as empty."


class Truth(Protocol):
    """The true masks of a split, read when they are asked for."""

    def frames(self, sample: Sample) -> Sequence[str]:
        """The names of the frames that are scored."""
        ...

    def masks(self, sample: Sample, frame: str) -> Mapping[str, NDArray[np.bool_]]:
        """(H, W) bool for each expression, by `Asked.name`. Raises InputError where a file is damaged."""
        ...


@dataclass(frozen=True)
class ExpressionScore:
    """J and F in [0, 1], means over frames. predicted: whether any pixel of these frames is predicted."""

    j: float
    f: float
    frames: int
    predicted: bool

    @property
    def jf(self) -> float:
        return (self.j + self.f) / 2

    def row(self) -> dict[str, Figure]:
        return {"J&F": self.jf, "J": self.j, "F": self.f, "frames": self.frames}


@dataclass(frozen=True)
class Scored:
    """expressions: by "<video>/<expression>", in the samples' order. missing: masks scored as empty."""

    expressions: Mapping[str, ExpressionScore]
    missing: int

    def overall(self) -> dict[str, Figure]:
        """The means over expressions, not over videos."""
        every = tuple(self.expressions.values())
        j, f = (float(np.mean(values)) for values in ([one.j for one in every], [one.f for one in every]))
        return {"J&F": (j + f) / 2, "J": j, "F": f, "expressions": len(every)}

    def table(self) -> dict[str, dict[str, Figure]]:
        return {name: one.row() for name, one in self.expressions.items()}

    def notes(self) -> tuple[str, ...]:
        return (f"{self.missing} missing masks count as empty",) if self.missing else ()


def mask_path(folder: str, sample: Sample, asked: Asked, frame: str) -> str:
    """Where a mask lies below the predictions. folder: "" or one name."""
    below = f"{sample.name}/{asked.name}/{frame}.png"
    return f"{folder}/{below}" if folder else below


def paint_masks(
    folder: str, sample: Sample, frame: str, found: Mapping[str, FrameResult]
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """See `carvid.evaluate.contract.Benchmark.paint`: label 1 where an expression's one query is found."""
    for asked in sample.asked:
        yield mask_path(folder, sample, asked, frame), found[asked.name].query_masks[0].astype(np.uint8)


def score_masks(
    predictions: Path, folder: str, samples: Sequence[Sample], truth: Truth, missing: Missing
) -> Scored:
    """Score each expression in each frame of the truth: two empty masks agree, as in `carvid.measures.pair`.

    Raises one InputError that lists the masks that are missing (unless `missing` is "empty"), damaged or of another
    size.
    """
    refuse_broken(predictions, folder, samples, truth.frames, missing)
    scores: dict[str, ExpressionScore] = {}
    absent = 0
    problems: list[str] = []
    for sample in samples:
        frames = truth.frames(sample)
        # (expressions, frames, J and F)
        values = np.zeros((len(sample.asked), len(frames), 2))
        predicted = np.zeros(len(sample.asked), bool)
        for column, frame in enumerate(frames):
            true = truth.masks(sample, frame)
            for row, asked in enumerate(sample.asked):
                path = predictions / mask_path(folder, sample, asked, frame)
                try:
                    mask = _read_mask(path, sample.size)
                except InputError as error:
                    problems.append(str(error))
                    continue
                absent += mask is None
                mask = np.zeros(sample.size, bool) if mask is None else mask
                predicted[row] |= mask.any()
                values[row, column] = iou(true[asked.name], mask), boundary_f(true[asked.name], mask)
        for row, asked in enumerate(sample.asked):
            j, f = values[row].mean(axis=0)
            scores[f"{sample.name}/{asked.name}"] = ExpressionScore(
                float(j), float(f), len(frames), bool(predicted[row])
            )
    refuse_if_any(problems, f"{predictions} cannot be scored", REMEDY)
    return Scored(scores, absent)


class FramesOf(Protocol):
    """The names of those frames of a sample that need a mask."""

    def __call__(self, sample: Sample) -> Iterable[str]: ...


def refuse_broken(
    predictions: Path, folder: str, samples: Sequence[Sample], frames: FramesOf, missing: Missing
) -> None:
    """Raises one InputError that lists the masks that are missing, cut short or of another size than their frame."""
    if not is_dir(predictions, InputError):
        raise InputError(f"no folder {predictions}: expected predictions in it")
    problems = []
    for sample in samples:
        for asked in sample.asked:
            for frame in frames(sample):
                path = predictions / mask_path(folder, sample, asked, frame)
                if missing == "empty" and not is_file(path, InputError):
                    continue
                problem = png_problem(path, sample.size, "its frame")
                if problem is not None:
                    problems.append(problem)
    refuse_if_any(problems, f"{predictions} is not complete", REMEDY)


def _read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """None where there is none. Raises InputError."""
    if not is_file(path, InputError):
        return None
    mask: NDArray[np.bool_] = read_labels(path) != 0
    if mask.shape != size:
        raise InputError(f"{path} is {mask.shape[1]}x{mask.shape[0]} px; expected {size[1]}x{size[0]}")
    return mask
