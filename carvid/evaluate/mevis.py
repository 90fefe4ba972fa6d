"""MeViS (Ding et al., ICCV 2023) and its second version, in which an expression may refer to nothing.

    {train,valid_u,valid}/JPEGImages/<video>/<frame>.jpg
    {train,valid_u,valid}/meta_expressions.json, or meta_expressions_v2.json
    {train,valid_u}/mask_dict.json          annotation -> one run-length code per frame, or null

The truth of an expression is the union of its annotations' masks. That of `valid` is not published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError, UsageError
from carvid.evaluate.choosing import chosen_names, chosen_split
from carvid.evaluate.contract import PAPER_NAMES, Choice, Missing, Sample
from carvid.evaluate.expression_masks import Scored, paint_masks, score_masks
from carvid.evaluate.figures import Figure, Figures
from carvid.evaluate.meta_expressions import (
    Expression,
    ListedVideo,
    find_frames,
    read_meta_expressions,
    told_json,
)
from carvid.evaluate.server_zip import frame_names, write_zip
from carvid.media.rle import Rle, checked_runs, decode_rle
from carvid.problems import refuse_if_any
from carvid.result import FrameResult

NAME = "mevis"
WITHOUT_TRUTH = "valid"
SECOND_VERSION = ("meta_expressions_v2.json", "meta_expressions_v2_release.json")
FIRST_VERSION = "meta_expressions.json"
REMEDY = "Complete the tree as MeViS is published."

#: The code of one annotation in each frame of its video; None where it is not to be seen.
Codes = tuple[Rle | None, ...]


@dataclass(frozen=True)
class Annotations:
    """The truth of a split. codes: by annotation. of: video -> expression -> its annotations; none: no target."""

    codes: Mapping[str, Codes]
    of: Mapping[str, Mapping[str, tuple[str, ...]]]

    def frames(self, sample: Sample) -> Sequence[str]:
        return frame_names(sample)

    def masks(self, sample: Sample, frame: str) -> dict[str, NDArray[np.bool_]]:
        place = frame_names(sample).index(frame)
        expressions = self.of[sample.name]
        masks = {}
        for annotation in {one for some in expressions.values() for one in some}:
            code = self.codes[annotation][place]
            if code is not None:
                masks[annotation] = decode_rle(code)
        truth = {}
        for expression, some in expressions.items():
            truth[expression] = union = np.zeros(sample.size, bool)
            for annotation in some:
                if annotation in masks:
                    union |= masks[annotation]
        return truth


@dataclass(frozen=True)
class MevisSplit:
    """See `carvid.evaluate.contract.DataSet`. source: the expressions' file. truth: None for a split without."""

    split: str
    samples: tuple[Sample, ...]
    truth: Annotations | None
    source: Path

    def score(self, predictions: Path, missing: Missing) -> Figures:
        """J, F and J&F over all frames, means over expressions; for the second version N-acc. and T-acc. too.

        An expression without a target has J and F of 1 in a frame where nothing is predicted, as two empty masks
        agree, and 0 in others. Raises UsageError without a truth.
        """
        if self.truth is None:
            raise UsageError(
                f"{NAME}: the truth of {self.split} is not published; pack the masks as a zip for the benchmark's "
                "server, which scores them"
            )
        scored = score_masks(predictions, "", self.samples, self.truth, missing)
        overall = scored.overall()
        if self.source.name in SECOND_VERSION:
            overall |= _target_figures(scored, self.truth)
        notes = (f"expressions of {self.source.name}", *scored.notes())
        return Figures(NAME, self.split, overall, {"expression": scored.table()}, notes)

    def write_zip(self, predictions: Path, path: Path) -> None:
        """Pack the masks for the server; see `carvid.evaluate.server_zip.write_zip`."""
        write_zip(predictions, self.samples, path)


class Mevis:
    """See `carvid.evaluate.contract.Benchmark`."""

    name = NAME
    preset = "refdavis"
    names = PAPER_NAMES
    splits = ("valid_u", "valid", "train")

    def read(self, root: Path, choice: Choice) -> MevisSplit:
        """Where a split has the expressions of both versions, those of the second are read; the figures say which."""
        split = chosen_split(choice, self.splits)
        folder = root / split
        problems: list[str] = []
        source = next((folder / name for name in SECOND_VERSION if (folder / name).is_file()), None)
        source = source or folder / FIRST_VERSION
        listed = read_meta_expressions(source, problems)
        # Without the list of videos, which of them are chosen cannot be said.
        if not listed:
            _refuse(root, problems or [f"no video with expressions in {source}"])
        wanted = [listed[name] for name in chosen_names(choice, tuple(listed))]
        samples = []
        for video in wanted:
            frames = find_frames(folder / "JPEGImages", video, problems)
            if frames is not None:
                samples.append(
                    Sample(video.name, *frames, asked=tuple(one.asked for one in video.expressions))
                )
        truth = None
        if split != WITHOUT_TRUTH:
            truth = _truth(
                folder / "mask_dict.json", wanted, {one.name: one.size for one in samples}, problems
            )
        _refuse(root, problems)
        return MevisSplit(split, tuple(samples), truth, source)

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        return paint_masks("", sample, frame, found)


MEVIS = Mevis()


def _target_figures(scored: Scored, truth: Annotations) -> dict[str, Figure]:
    """N-acc.: of the expressions without target, the share with nothing predicted in any frame. T-acc.: of the others,
    the share with something. overall: the mean of J&F and the two."""
    with_target = {
        f"{video}/{name}": bool(of) for video, some in truth.of.items() for name, of in some.items()
    }
    right: dict[bool, list[bool]] = {False: [], True: []}
    for name, score in scored.expressions.items():
        right[with_target[name]].append(score.predicted == with_target[name])
    n_acc, t_acc = (float(np.mean(right[kind])) if right[kind] else None for kind in (False, True))
    jf = scored.overall()["J&F"]
    every = [value for value in (jf, n_acc, t_acc) if value is not None]
    mean = float(np.mean(every)) if len(every) == 3 else None
    return {"N-acc.": n_acc, "T-acc.": t_acc, "overall": mean, "no-target expressions": len(right[False])}


def _refuse(root: Path, problems: Sequence[str]) -> None:
    refuse_if_any(problems, f"{root} is not a complete MeViS tree", REMEDY)


def _truth(
    path: Path, videos: Sequence[ListedVideo], sizes: Mapping[str, tuple[int, int]], problems: list[str]
) -> Annotations:
    """Of the file, which holds the masks of all videos, only those of `videos` are kept, as codes."""
    held = told_json(path, problems)
    if held is not None and not isinstance(held, dict):
        problems.append(f"{path} holds no object of annotations")
        held = None
    codes: dict[str, Codes] = {}
    of: dict[str, dict[str, tuple[str, ...]]] = {}
    for video in videos:
        of[video.name] = {one.id: _annotations(video, one, problems) for one in video.expressions}
        if held is None:
            continue
        size = sizes.get(video.name)
        for annotation in dict.fromkeys(one for some in of[video.name].values() for one in some):
            if annotation in codes:
                problems.append(f"{path}: annotation {annotation} is of {video.name} and of an earlier video")
            elif annotation not in held:
                problems.append(f"{path} has no annotation {annotation}, which {video.name} refers to")
            else:
                where = f"{path}, annotation {annotation} of {video.name}"
                codes[annotation] = _codes(held[annotation], len(video.frames), size, where, problems)
    return Annotations(codes, of)


def _annotations(video: ListedVideo, expression: Expression, problems: list[str]) -> tuple[str, ...]:
    said = expression.told.get("anno_id")
    if not isinstance(said, list) or not all(type(one) in (int, str) for one in said):
        problems.append(
            f"expression {expression.id} of {video.name} has the anno_id {said!r}; expected a list of numbers"
        )
        return ()
    return tuple(map(str, said))


def _codes(
    held: Any, frames: int, size: tuple[int, int] | None, where: str, problems: list[str]
) -> tuple[Rle | None, ...]:
    """The codes of an annotation, checked, one per frame of its video."""
    if not isinstance(held, list) or len(held) < frames:
        found = f"{len(held)} entries" if isinstance(held, list) else "no list"
        problems.append(f"{where}: {found}; expected one for each of {frames} frames")
        return (None,) * frames
    codes: list[Rle | None] = []
    for place, code in enumerate(held[:frames]):
        codes.append(None)
        if code is None:
            continue
        try:
            checked_runs(code)
            height, width = code["size"]
        except InputError as error:
            problems.append(f"{where}, frame {place}: {error}")
        except (KeyError, TypeError, ValueError):
            problems.append(f'{where}, frame {place}: no run-length code of "size" and "counts"')
        else:
            if size is not None and (height, width) != size:
                problems.append(
                    f"{where}, frame {place}: a mask of {width}x{height} px; its frame has {size[1]}x{size[0]}"
                )
            codes[-1] = {"size": [height, width], "counts": code["counts"]}
    return tuple(codes)
