"""Ref-YouTube-VOS (Seo et al., URVOS, ECCV 2020).

    meta_expressions/{train,valid,test}/meta_expressions.json
    {train,valid}/JPEGImages/<video>/<frame>.jpg
    train/Annotations/<video>/<frame>.png              palette PNG, label = obj_id
    train/meta.json                                    the objects of each video

`valid` is the 202 videos of valid that are not in test; their truth is not published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError, UsageError
from carvid.evaluate.choosing import chosen_names, chosen_split
from carvid.evaluate.contract import PAPER_NAMES, Choice, Missing, Sample
from carvid.evaluate.expression_masks import paint_masks, score_masks
from carvid.evaluate.figures import Figures
from carvid.evaluate.meta_expressions import ListedVideo, find_frames, read_meta_expressions, told_json
from carvid.evaluate.server_zip import write_zip
from carvid.evaluate.truth_png import png_problem, read_labels
from carvid.problems import refuse_if_any
from carvid.result import FrameResult

NAME = "ref-ytvos"
ANNOTATIONS = "Annotations"
REMEDY = "Complete the tree: the frames and annotations of YouTube-VOS 2019, and Ref-YouTube-VOS's meta_expressions."


@dataclass(frozen=True)
class AnnotatedFrames:
    """The truth of train. annotations: video -> frame -> its PNG. objects: video -> expression -> the object's id."""

    annotations: Mapping[str, Mapping[str, Path]]
    objects: Mapping[str, Mapping[str, int]]

    def frames(self, sample: Sample) -> Sequence[str]:
        return tuple(self.annotations[sample.name])

    def masks(self, sample: Sample, frame: str) -> dict[str, NDArray[np.bool_]]:
        labels = read_labels(self.annotations[sample.name][frame])
        return {expression: labels == label for expression, label in self.objects[sample.name].items()}


@dataclass(frozen=True)
class RefYtvosSplit:
    """See `carvid.evaluate.contract.DataSet`. truth: None for a split without."""

    split: str
    samples: tuple[Sample, ...]
    truth: AnnotatedFrames | None

    def score(self, predictions: Path, missing: Missing) -> Figures:
        """J, F and J&F over the annotated frames, means over expressions. Raises UsageError without a truth."""
        if self.truth is None:
            raise UsageError(
                f"{NAME}: the truth of {self.split} is not published; pack the masks as a zip for the benchmark's "
                "server, which scores them"
            )
        scored = score_masks(predictions, ANNOTATIONS, self.samples, self.truth, missing)
        return Figures(NAME, self.split, scored.overall(), {"expression": scored.table()}, scored.notes())

    def write_zip(self, predictions: Path, path: Path) -> None:
        """Pack the masks for the server; see `carvid.evaluate.server_zip.write_zip`."""
        write_zip(predictions, self.samples, path, folder=ANNOTATIONS)


class RefYtvos:
    """See `carvid.evaluate.contract.Benchmark`."""

    name = NAME
    preset = "refdavis"
    names = PAPER_NAMES
    splits = ("valid", "train")

    def read(self, root: Path, choice: Choice) -> RefYtvosSplit:
        split = chosen_split(choice, self.splits)
        problems: list[str] = []
        listed = _listed(root, split, problems)
        # Without the list of videos, which of them are chosen cannot be said.
        if not listed:
            _refuse(root, problems or [f"no video with expressions in {_expressions_path(root, split)}"])
        samples = []
        wanted = [listed[name] for name in chosen_names(choice, tuple(listed))]
        for video in wanted:
            frames = find_frames(root / split / "JPEGImages", video, problems)
            if frames is not None:
                samples.append(
                    Sample(video.name, *frames, asked=tuple(one.asked for one in video.expressions))
                )
        truth = _truth(root, wanted, samples, problems) if split == "train" else None
        _refuse(root, problems)
        return RefYtvosSplit(split, tuple(samples), truth)

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        return paint_masks(ANNOTATIONS, sample, frame, found)


REF_YTVOS = RefYtvos()


def _refuse(root: Path, problems: Sequence[str]) -> None:
    refuse_if_any(problems, f"{root} is not a complete Ref-YouTube-VOS tree", REMEDY)


def _expressions_path(root: Path, folder: str) -> Path:
    return root / "meta_expressions" / folder / "meta_expressions.json"


def _listed(root: Path, split: str, problems: list[str]) -> dict[str, ListedVideo]:
    def listed(folder: str) -> dict[str, ListedVideo]:
        return read_meta_expressions(_expressions_path(root, folder), problems)

    videos = listed(split)
    if split != "valid":
        return videos
    test = listed("test")
    return {name: video for name, video in videos.items() if name not in test}


def _truth(
    root: Path, videos: Sequence[ListedVideo], samples: Sequence[Sample], problems: list[str]
) -> AnnotatedFrames:
    sizes = {sample.name: sample.size for sample in samples}
    path = root / "train" / "meta.json"
    meta = told_json(path, problems)
    annotations, objects = {}, {}
    for video in videos:
        if meta is not None:
            objects[video.name] = _objects(path, meta, video, problems)
        folder = root / "train" / ANNOTATIONS / video.name
        paths = {frame: folder / f"{frame}.png" for frame in video.frames}
        annotations[video.name] = {frame: png for frame, png in paths.items() if png.is_file()}
        if not annotations[video.name]:
            problems.append(f"no annotation of any of the listed frames in {folder}")
        for png in annotations[video.name].values():
            problem = png_problem(png, sizes[video.name], "its frame") if video.name in sizes else None
            if problem is not None:
                problems.append(problem)
    return AnnotatedFrames(annotations, objects)


def _objects(path: Path, meta: object, video: ListedVideo, problems: list[str]) -> dict[str, int]:
    """Expression -> the label of its object, which meta.json must know."""
    try:
        known = {int(number) for number in meta["videos"][video.name]["objects"]}  # type: ignore[index]
    except (KeyError, TypeError, ValueError, OverflowError):
        problems.append(f"{path} has no objects by their number for the video {video.name}")
        return {}
    objects = {}
    for one in video.expressions:
        try:
            number = int(one.told["obj_id"])
            if number not in known:
                raise InputError(f"which is not among the objects of {path}")
            objects[one.id] = number
        except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
            said = one.told.get("obj_id")
            reason = f", {error}" if isinstance(error, InputError) else ", expected an object's number"
            problems.append(f"expression {one.id} of {video.name} has the obj_id {said!r}{reason}")
    return objects
