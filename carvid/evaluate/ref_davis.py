"""Ref-DAVIS 2017 as a benchmark: a video's expression sets are its query sets; scored by `carvid.davis.evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from carvid.davis.columns import by_column
from carvid.davis.dataset import ReferringDataset, read_dataset
from carvid.davis.evaluate import evaluate
from carvid.davis.predictions import SETS_FOLDER, set_folder_name
from carvid.davis.protocols import PROTOCOLS
from carvid.evaluate.contract import Asked, Choice, Missing, Sample
from carvid.evaluate.figures import Figure, Figures
from carvid.result import FrameResult


class _RefDavis:
    """See `carvid.evaluate.contract.Benchmark`. Any list in ImageSets/2017 is a split."""

    name = "refdavis"
    preset = "refdavis"
    splits = ("val",)

    def read(self, root: Path, choice: Choice) -> RefDavisData:
        split = choice.split or self.splits[0]
        dataset = read_dataset(root, split=split, videos=choice.only)
        return RefDavisData(root, split, samples_of(dataset)[: choice.first])

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """valid/anno_<set>/<video>/<frame>.png for each set; label = object id."""
        for name, result in found.items():
            yield f"{SETS_FOLDER}/{name}/{sample.name}/{frame}.png", result.query_map


REFDAVIS = _RefDavis()


@dataclass(frozen=True)
class RefDavisData:
    """See `carvid.evaluate.contract.DataSet`."""

    root: Path
    split: str
    samples: tuple[Sample, ...]

    def score(self, predictions: Path, missing: Missing) -> Figures:
        """J&F, J and F under both protocols, the mean of the sets that there are; scores.json and CSV files, as of
        `carvid eval`, are written beside."""
        scores = evaluate(
            self.root,
            predictions,
            split=self.split,
            videos=[sample.name for sample in self.samples],
            missing=missing,
        )
        overall: dict[str, Figure] = {}
        sets: dict[str, dict[str, Figure]] = {set_folder_name(one.index): {} for one in scores.sets}
        for protocol in PROTOCOLS:
            averages = scores.overall[protocol].averages
            for column in ("J&F-Mean", "J-Mean", "F-Mean"):
                name = f"{column.removesuffix('-Mean')} {protocol}"
                overall[name] = None if averages is None else by_column(averages)[column]
                for one in scores.sets:
                    of_set = one.protocols[protocol].averages
                    value = None if of_set is None else by_column(of_set)[column]
                    sets[set_folder_name(one.index)][name] = value
        return Figures("refdavis", self.split, overall, {"set": sets}, (*scores.refusals, *scores.left_out))


def samples_of(dataset: ReferringDataset) -> tuple[Sample, ...]:
    """A video is a sample, and each of its expression sets a query set, named as the set's folder."""
    return tuple(
        Sample(
            video.name,
            tuple(str(path.absolute()) for path in video.frame_paths),
            (video.truth.height, video.truth.width),
            tuple(
                Asked(
                    set_folder_name(index),
                    video.expressions[index],
                    tuple(range(1, video.truth.object_count + 1)),
                )
                for index in dataset.sets
            ),
        )
        for video in dataset.videos
    )
