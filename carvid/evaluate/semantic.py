"""Semantic segmentation: images whose every pixel has a class, and whose queries are the class names.

Layouts differ in folders only. Predictions are label maps, `masks/<image>.png`. All figures come from one confusion
matrix over the split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.data_files import read_names
from carvid.errors import InputError, UsageError
from carvid.evaluate.choosing import chosen_names, chosen_split, each
from carvid.evaluate.contract import PAPER_NAMES, Asked, Choice, Missing, Sample
from carvid.evaluate.figures import Figure, Figures
from carvid.evaluate.predicted import Predicted
from carvid.evaluate.records import read_record
from carvid.evaluate.stored_size import stored_size
from carvid.evaluate.truth_png import read_labels
from carvid.paths import is_dir, is_file
from carvid.problems import refuse_if_any
from carvid.result import FrameResult

IGNORED = 255
"""The truth's label of pixels that do not count."""

ASKED = "classes"
BACKGROUND = "background"
_CLASSES = Path(__file__).with_name("classes")


@dataclass(frozen=True)
class Pass:
    """One of several query sets of an image.

    name: tells it from the others. labels: of its classes. settings: see `carvid.evaluate.contract.Asked`.
    """

    name: str
    labels: tuple[int, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class SemanticBenchmark:
    """See `carvid.evaluate.contract.Benchmark`.

    tops: where below ROOT the other paths begin; the first that has the truth's folder counts.
    images, truth: folders; listing: the file with the images' names, None for all that are there. {split} is the
    split's name. truth_suffix: after the image's name. reduced: whether figures without the background are also given.
    passes: the query sets of the switch two-passes, in the order in which they are painted.
    """

    name: str
    preset: str
    splits: tuple[str, ...]
    tops: tuple[str, ...]
    images: str
    truth: str
    listing: str | None
    truth_suffix: str = ".png"
    reduced: bool = False
    names: tuple[str, ...] = (*PAPER_NAMES, "released")
    passes: tuple[Pass, ...] = ()

    def read(self, root: Path, choice: Choice) -> SemanticDataSet:
        split = chosen_split(choice, self.splits)
        asked = self.asked(choice.names, two_passes=choice.two_passes)
        problems: list[str] = []
        images, truth, listing = (
            None if part is None else self._find(root, part.format(split=split))
            for part in (self.images, self.truth, self.listing)
        )
        assert images is not None
        assert truth is not None
        for folder in (images, truth):
            if not is_dir(folder, InputError):
                problems.append(f"no folder {folder}")
        if problems:
            every: tuple[str, ...] = ()
        elif listing is None:
            every = tuple(sorted({path.stem for path in images.glob("[!.]*.jpg")} | self._with_truth(truth)))
        else:
            every = read_names(listing, "image", "a file", problems)
        if not every and not problems:
            problems.append(f"no image in {images}")
        chosen = () if problems else chosen_names(choice, every)

        samples = each(
            chosen,
            lambda name: _sample(name, images / f"{name}.jpg", truth / f"{name}{self.truth_suffix}", asked),
            problems,
        )
        refuse_if_any(problems, f"{root} is not a complete {self.name} tree", "Complete the tree.")
        return SemanticDataSet(self, split, samples, truth, choice.names)

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterable[tuple[str, NDArray[np.uint8]]]:
        painted = np.zeros(sample.size, np.uint8)
        for asked in sample.asked:
            result = found[asked.name]
            label_of = dict(zip(asked.queries, asked.labels, strict=True))
            labels = np.zeros(256, np.uint8)
            for thing in result.objects:
                labels[thing.id] = label_of[thing.query]
            here = labels[result.label_map]
            painted = np.where(here > 0, here, painted)
        yield mask_path(sample.name), painted

    def asked(self, names: str, *, two_passes: bool) -> tuple[Asked, ...]:
        """The query sets of every image. Raises UsageError for a list of names that there is not."""
        classes = self.classes(names)
        if not (two_passes and self.passes):
            return (Asked(ASKED, classes, tuple(range(1, len(classes) + 1))),)
        return tuple(
            Asked(one.name, tuple(classes[label - 1] for label in one.labels), one.labels, one.settings)
            for one in self.passes
        )

    def classes(self, names: str) -> tuple[str, ...]:
        """The class names in the order of their labels, from 1 on. Raises UsageError for a list that there is not."""
        if names not in self.names:
            raise UsageError(f"no class names {names!r}; expected one of {', '.join(self.names)}")
        return class_names(self.name, names)

    def _find(self, root: Path, part: str) -> Path:
        for top in self.tops:
            if is_dir(root / top, InputError) and is_dir(root / top / self.truth.split("/")[0], InputError):
                return root / top / part
        return root / self.tops[0] / part

    def _with_truth(self, folder: Path) -> set[str]:
        return {
            path.name.removesuffix(self.truth_suffix) for path in folder.glob(f"[!.]*{self.truth_suffix}")
        }


def class_names(benchmark: str, names: str) -> tuple[str, ...]:
    """A benchmark's class names in the order of their labels, from 1 on."""
    file = _CLASSES / (f"{benchmark}.txt" if names == "paper" else f"{benchmark}-{names}.txt")
    lines = file.read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class SemanticDataSet:
    """See `carvid.evaluate.contract.DataSet`. names: which list of class names was asked."""

    benchmark: SemanticBenchmark
    split: str
    samples: tuple[Sample, ...]
    truth: Path
    names: str

    def score(self, predictions: Path, missing: Missing) -> Figures:
        predicted = Predicted(predictions, missing)
        names = (BACKGROUND, *self.benchmark.classes("paper"))
        confusion = np.zeros((len(names), len(names)), np.int64)
        present: dict[str, set[int]] = {}
        for sample in self.samples:
            truth = read_labels(self.truth / f"{sample.name}{self.benchmark.truth_suffix}")
            found = predicted.read(mask_path(sample.name), sample.size, len(names) - 1)
            confusion += confusion_of(truth, found, len(names))
            present[sample.name] = {*np.unique(truth).tolist()} - {0, IGNORED}
        predicted.refuse_if_any()
        overall, tables = figures_of(confusion, names, reduced=self.benchmark.reduced)
        survivors, notes = self._survivors(predictions, present)
        return Figures(
            self.benchmark.name, self.split, overall | survivors, tables, (*_NOTES, *predicted.notes, *notes)
        )

    def _survivors(
        self, predictions: Path, present: Mapping[str, set[int]]
    ) -> tuple[dict[str, Figure], tuple[str, ...]]:
        """How well the queries h_T that survive the recurrence tell which classes are in the images."""
        right = kept = there = absent = 0
        for sample in self.samples:
            record = read_record(predictions, sample.name)
            # In one query set or two, whichever the run had.
            ways = (self.benchmark.asked(self.names, two_passes=two) for two in (False, True))
            way = next((way for way in ways if record and {one.name for one in way} == {*record.asked}), ())
            if record is None or not way:
                absent += 1
                continue
            if any(record.asked[one.name].queries != one.queries for one in way):
                raise InputError(
                    f"the record of {sample.name} in {predictions} is of other class names; "
                    "score with the names that the run was made with"
                )
            surviving = {
                label
                for one in way
                for label, frames in zip(one.labels, record.asked[one.name].present_frames, strict=True)
                if frames > 0
            }
            right += len(surviving & present[sample.name])
            kept += len(surviving)
            there += len(present[sample.name])
        figures = {"h_T precision": _share(right, kept), "h_T recall": _share(right, there)}
        if not absent:
            return figures, ()
        seen = len(self.samples) - absent
        return figures, (f"h_T is of {seen} of {len(self.samples)} images; the others have no record.",)


_NOTES = ("A class in neither truth nor predictions has no IoU and stays out of the mean.",)


def mask_path(name: str) -> str:
    """Where an image's label map lies, below the output folder."""
    return f"masks/{name}.png"


def confusion_of(truth: NDArray[np.integer], found: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(classes, classes) pixels by true label (row) and predicted one (column); ignored pixels are left out.

    truth, found: (H, W) labels below `classes`, the truth's also IGNORED.
    """
    counted = truth != IGNORED
    pairs = truth[counted].astype(np.int64) * classes + found[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def figures_of(
    confusion: NDArray[np.int64], names: tuple[str, ...], *, reduced: bool
) -> tuple[dict[str, Figure], dict[str, dict[str, dict[str, Figure]]]]:
    """Figures over all and the table of classes; see `confusion_of`, label 0 first.

    reduced: also mIoU over the classes without the background, where the truth's background is ignored (as with
    mmsegmentation's reduce_zero_label): predictions there do not count, a class called background is missed.
    """
    whole = class_ious(confusion)
    table = {name: {"IoU": iou} for name, iou in zip(names, whole, strict=True)}
    overall: dict[str, Figure] = {}
    if reduced:
        without = [None, *class_ious(np.concatenate([np.zeros_like(confusion[:1]), confusion[1:]]))[1:]]
        classes = len(names)
        overall[f"mIoU-{classes - 1}"] = _mean(without)
        overall[f"mIoU-{classes}"] = _mean(whole)
        table = {
            name: {f"IoU-{classes - 1}": less, f"IoU-{classes}": iou}
            for name, less, iou in zip(names, without, whole, strict=True)
        }
    else:
        overall["mIoU"] = _mean(whole)
    overall["pixel accuracy"] = _share(int(np.trace(confusion)), int(confusion.sum()))
    return overall, {"class": table}


def class_ious(confusion: NDArray[np.int64]) -> list[float | None]:
    """The IoU of each class; None for one in neither truth nor predictions."""
    shared = np.diag(confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - shared
    return [_share(int(i), int(u)) for i, u in zip(shared, either, strict=True)]


def _sample(name: str, image: Path, truth: Path, asked: tuple[Asked, ...]) -> Sample:
    size = stored_size(image)
    if not is_file(truth, InputError):
        raise InputError(f"no file {truth}")
    labels = read_labels(truth)
    if labels.shape != size:
        raise InputError(
            f"{truth} is {labels.shape[1]}x{labels.shape[0]} px; expected {size[1]}x{size[0]}, as {image} is"
        )
    highest = max(label for one in asked for label in one.labels)
    strange = np.unique(labels[(labels < 0) | (labels > highest) & (labels != IGNORED)])
    if strange.size:
        raise InputError(f"{truth} has the label {strange[0]}; expected 0 to {highest}, or {IGNORED}")
    return Sample(name, (str(image),), size, asked)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None
