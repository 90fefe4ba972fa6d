"""gRefCOCO: expressions for any number of objects, none included.

    grefcoco/grefs(unc).json, grefcoco/instances.json          or both in ROOT itself
    train2014/<file_name of instances.json>                    also in images/ or images/mscoco/images/

A reference's `ann_id` is a number or a list of them; [-1] says that there is no target. Predictions are 0/1 label maps,
`expressions/<sent_id>.png`. The figures are those of gRefCOCO's own evaluation (ReLA, CVPR 2023), where a prediction
says "no target" when its mask is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.data_files import read_json
from carvid.errors import InputError
from carvid.evaluate.choosing import chosen_split
from carvid.evaluate.contract import PAPER_NAMES, Asked, Choice, Missing, Sample
from carvid.evaluate.figures import Figure, Figures
from carvid.evaluate.instances import Instances
from carvid.evaluate.predicted import Predicted
from carvid.evaluate.refcoco import iou, per_query, shared_and_either
from carvid.evaluate.referring_images import read_referring_images
from carvid.paths import is_dir
from carvid.result import FrameResult

PRECISIONS = {"Pr@.7": 0.7, "Pr@.8": 0.8, "Pr@.9": 0.9}
NO_TARGET = "-1"


@dataclass(frozen=True)
class Expression:
    """targets: the annotations it refers to, none for no target. All ids are text."""

    id: str
    text: str
    image: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class GRefCoco:
    """See `carvid.evaluate.contract.Benchmark`."""

    name: str = "grefcoco"
    preset: str = "gres"
    splits: tuple[str, ...] = ("val", "testA", "testB", "train")
    names: tuple[str, ...] = PAPER_NAMES

    def read(self, root: Path, choice: Choice) -> GRefCocoDataSet:
        split = chosen_split(choice, self.splits)
        folder = root / self.name if is_dir(root / self.name, InputError) else root
        refs = folder / "grefs(unc).json"
        found = read_referring_images(
            root,
            self.name,
            refs,
            split,
            choice,
            read=lambda: _expressions(refs, split),
            ids=lambda expressions: {"sent_id": (one.id for one in expressions)},
            sample=_sample,
        )
        return GRefCocoDataSet(split, found.samples, found.instances, found.references)

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterable[tuple[str, NDArray[np.uint8]]]:
        for name, result in found.items():
            masks, _ = per_query(result)
            # What `keep_best` gives for a query that is not there is no answer here.
            mask = masks[0] & result.queries[0].present
            yield _path(name.partition("/")[2]), mask.astype(np.uint8)


GREFCOCO = GRefCoco()


@dataclass(frozen=True)
class GRefCocoDataSet:
    """See `carvid.evaluate.contract.DataSet`."""

    split: str
    samples: tuple[Sample, ...]
    instances: Instances
    expressions: Mapping[str, list[Expression]]

    def score(self, predictions: Path, missing: Missing) -> Figures:
        predicted = Predicted(predictions, missing)
        answers: dict[str, Answer] = {}
        for sample in self.samples:
            for one in self.expressions[sample.name]:
                found = predicted.read(_path(one.id), sample.size, 255) > 0
                truth = self.instances.mask(one.targets, sample.size)
                answers[one.id] = Answer(
                    bool(one.targets), bool(found.any()), *shared_and_either(truth, found)
                )
        predicted.refuse_if_any()
        table = {name: {"gIoU": answer.iou, "target": int(answer.target)} for name, answer in answers.items()}
        return Figures(
            GREFCOCO.name, self.split, figures_of(answers.values()), {"expression": table}, predicted.notes
        )


@dataclass(frozen=True)
class Answer:
    """target: whether there is one. found: whether anything is predicted. Pixels in both masks, and in either."""

    target: bool
    found: bool
    shared_px: int
    either_px: int

    @property
    def iou(self) -> float:
        """In [0, 1]; without a target 1 where nothing is predicted, else 0."""
        return iou(self.shared_px, self.either_px) if self.target else float(not self.found)


def figures_of(answers: Iterable[Answer]) -> dict[str, Figure]:
    """gIoU: the mean of the IoUs. cIoU: pixels shared over pixels in either, over all, no-target samples included.

    N-acc: the share of no-target samples for which nothing is predicted; T-acc: of target samples for which something
    is. Pr@t: the share of target samples with IoU >= t. None where there are no such samples.
    """
    every = list(answers)
    targets = [one for one in every if one.target]
    others = [one for one in every if not one.target]
    either = sum(one.either_px for one in every)
    return {
        "gIoU": _mean([one.iou for one in every]),
        "cIoU": sum(one.shared_px for one in every) / either if either else None,
        "N-acc": _mean([float(not one.found) for one in others]),
        "T-acc": _mean([float(one.found) for one in targets]),
        **{name: _mean([float(one.iou >= least) for one in targets]) for name, least in PRECISIONS.items()},
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _path(sentence: str) -> str:
    return f"expressions/{sentence}.png"


def _expressions(path: Path, split: str) -> list[Expression]:
    try:
        return [
            Expression(str(sentence["sent_id"]), str(sentence["sent"]), str(one["image_id"]), _targets(one))
            for one in read_json(path)
            if one["split"] == split
            for sentence in one["sentences"]
        ]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no list of references ({type(error).__name__}: {error})") from error


def _targets(values: Mapping[str, Any]) -> tuple[str, ...]:
    given = values["ann_id"]
    every = [str(one) for one in (given if isinstance(given, list) else [given])]
    return tuple(one for one in dict.fromkeys(every) if one != NO_TARGET)


def _sample(name: str, expressions: list[Expression], instances: Instances, images: Path) -> Sample:
    image, size = instances.image(name, images)
    for one in expressions:
        for target in one.targets:
            if instances.image_of.get(target) != name:
                raise InputError(f"expression {one.id}: annotation {target} is not of image {name}")
        instances.mask(one.targets, size)
        if not one.text.strip():
            raise InputError(f"expression {one.id} is empty")
    asked = tuple(Asked(f"expression/{one.id}", (one.text,), (1,)) for one in expressions)
    return Sample(name, (str(image),), size, asked)
