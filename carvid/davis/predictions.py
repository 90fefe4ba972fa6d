"""Where predicted masks are, and whether there is one for each annotated frame.

<root>/valid/anno_{0..3}/<video>/00000.png     one folder per expression set
<root>/<video>/00000.png                       a bare folder of videos: one set, taken as set 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from carvid.davis.dataset import AnnotatedVideo, checked_sets
from carvid.davis.expressions import EXPRESSION_SETS
from carvid.errors import InputError
from carvid.paths import is_dir
from carvid.problems import listing

SETS_FOLDER = "valid"

MissingFrames = Literal["refuse", "empty"]
"""What to do about a missing prediction frame: refuse to score, or score it as an empty mask."""


def set_folder_name(index: int) -> str:
    """The folder of an expression set's predictions: "anno_0", ..."""
    return f"anno_{index}"


@dataclass(frozen=True)
class PredictionSet:
    """The predictions of one expression set: `folder` holds a folder per video."""

    index: int
    folder: Path


def find_prediction_sets(
    root: Path, sets: Sequence[int] | None, videos: Sequence[str]
) -> tuple[PredictionSet, ...]:
    """The sets asked for, or by default those found; InputError if one asked for is missing, or if there is none."""
    if not is_dir(root, InputError):
        raise InputError(f"no folder {root}: expected predictions in it")
    parent = root / SETS_FOLDER
    present = {
        index: parent / set_folder_name(index)
        for index in range(EXPRESSION_SETS)
        if is_dir(parent / set_folder_name(index), InputError)
    }
    if not present and any(is_dir(root / video, InputError) for video in videos):
        present = {0: root}
    wanted = tuple(present) if sets is None else checked_sets(sets)
    absent = [index for index in wanted if index not in present]
    if not present or absent:
        expected = ", ".join(str(parent / set_folder_name(index)) for index in absent or (0,))
        raise InputError(
            f"no predictions in {expected}; expected {SETS_FOLDER}/anno_0 ... anno_3, each with a folder per "
            f"video, or a bare folder of the videos' folders (set 0)"
        )
    return tuple(PredictionSet(index, present[index]) for index in wanted)


def frame_problems(
    sets: Sequence[PredictionSet], videos: Sequence[AnnotatedVideo], missing: MissingFrames
) -> list[str]:
    """One sentence per set and video with prediction frames missing (unless they count as empty) or extra."""
    problems = []
    for prediction_set in sets:
        for video in videos:
            folder = prediction_set.folder / video.name
            found = {path.stem for path in folder.glob("[!.]*.png")}
            absent = [frame for frame in video.frame_ids if frame not in found]
            extra = sorted(found.difference(video.frame_ids))
            if absent and missing == "refuse":
                problems.append(f"missing in {folder}: {_names(absent)}")
            if extra:
                problems.append(f"extra in {folder}, without annotation: {_names(extra)}")
    return problems


def _names(frames: Sequence[str]) -> str:
    return listing([f"{frame}.png" for frame in frames], ", ")
