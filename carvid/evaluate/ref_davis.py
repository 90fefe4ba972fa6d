"""Ref-DAVIS 2017 (Khoreva et al., ACCV 2018) as a benchmark: `carvid.davis` reads its tree and scores.

Each of the four expression sets of a video is a query set, of one query per object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.davis.dataset import REMEDY, ReferringDataset, ReferringVideo, read_dataset
from carvid.davis.evaluate import evaluate
from carvid.davis.predictions import SETS_FOLDER, set_folder_name
from carvid.davis.scores import ProtocolScore, Scores
from carvid.errors import InputError
from carvid.evaluate.choosing import chosen_names, chosen_split
from carvid.evaluate.contract import PAPER_NAMES, Asked, Choice, Missing, Sample
from carvid.evaluate.figures import Figure, Figures
from carvid.evaluate.stored_size import stored_size
from carvid.problems import refuse_if_any
from carvid.result import FrameResult

NAME = "refdavis"


@dataclass(frozen=True)
class RefDavisSplit:
    """See `carvid.evaluate.contract.DataSet`."""

    root: Path
    split: str
    sets: tuple[int, ...]
    samples: tuple[Sample, ...]

    def score(self, predictions: Path, missing: Missing) -> Figures:
        """J, F and J&F under both protocols, each the mean of the expression sets. See `carvid.davis.evaluate`, which
        also writes its own files, `scores.json` among them, below `predictions`."""
        scores = evaluate(
            self.root,
            predictions,
            split=self.split,
            videos=[sample.name for sample in self.samples],
            sets=self.sets,
            missing=missing,
        )
        return _figures(scores)


class RefDavis:
    """See `carvid.evaluate.contract.Benchmark`."""

    name = NAME
    preset = "refdavis"
    names = PAPER_NAMES
    splits = ("val", "train")

    def read(self, root: Path, choice: Choice) -> RefDavisSplit:
        split = chosen_split(choice, self.splits)
        dataset = read_dataset(root, split=split, videos=choice.only)
        first = chosen_names(replace(choice, only=None), [video.name for video in dataset.videos])
        samples = [sample for sample in samples_of(root, dataset) if sample.name in first]
        return RefDavisSplit(root, split, dataset.sets, tuple(samples))

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        for asked in sample.asked:
            folder = set_folder_name(int(asked.name))
            yield f"{SETS_FOLDER}/{folder}/{sample.name}/{frame}.png", found[asked.name].query_map


REF_DAVIS = RefDavis()


def samples_of(root: Path, dataset: ReferringDataset) -> tuple[Sample, ...]:
    """A sample for each video. Raises one InputError that lists the frames that are not of their annotations' size."""
    problems: list[str] = []
    samples = tuple(_sample(video, problems) for video in dataset.videos)
    refuse_if_any(problems, f"{root} is not a complete Ref-DAVIS tree", REMEDY)
    return samples


def _sample(video: ReferringVideo, problems: list[str]) -> Sample:
    size = video.truth.height, video.truth.width
    for path in video.frame_paths:
        try:
            height, width = stored_size(path)
        except InputError as error:
            problems.append(str(error))
            continue
        if (height, width) != size:
            problems.append(
                f"{path} is {width}x{height} px, {video.truth.annotation_paths[0]} {size[1]}x{size[0]}; "
                "expected the same"
            )
    asked = tuple(
        Asked(str(index), queries, tuple(range(1, len(queries) + 1)))
        for index, queries in sorted(video.expressions.items())
    )
    return Sample(video.name, tuple(map(str, video.frame_paths)), size, asked)


def _figures(scores: Scores) -> Figures:
    """Raises InputError where neither protocol can be scored; one that is refused alone is among the notes."""
    overall: dict[str, Figure] = {}
    for protocol, score in scores.overall.items():
        overall |= {f"{name} ({protocol})": value for name, value in _averages(score).items()}
    if all(value is None for value in overall.values()):
        raise InputError("; ".join(scores.refusals))
    sets: dict[str, dict[str, Figure]] = {}
    for one in scores.sets:
        sets[str(one.index)] = {
            f"{name} ({protocol})": value
            for protocol, score in one.protocols.items()
            for name, value in _averages(score).items()
        }
    absent = sum(one.missing_frames for one in scores.sets)
    notes: Sequence[str] = (*scores.refusals, *scores.left_out)
    if absent:
        notes = (*notes, f"{absent} missing masks count as empty")
    return Figures(NAME, scores.split, overall, {"set": sets}, tuple(notes))


def _averages(score: ProtocolScore) -> dict[str, Figure]:
    found = score.averages
    if found is None:
        return {"J&F": None, "J": None, "F": None}
    return {"J&F": found.jf_mean, "J": found.j.mean, "F": found.f.mean}
