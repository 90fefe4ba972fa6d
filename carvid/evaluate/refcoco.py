"""RefCOCO, RefCOCO+ and RefCOCOg: expressions for one object each.

    <name>/refs(unc).p, refs(google).p or refs(umd).p
    <name>/instances.json
    train2014/<file_name of instances.json>      also in images/ or images/mscoco/images/

A split is "val", or "google/val" for a splitter other than the data set's usual one. Predictions are 0/1 label maps:
`expressions/<sent_id>.png` for an expression asked alone, `referents/<ref_id>.png` for all of an object's together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError, UsageError
from carvid.evaluate.contract import PAPER_NAMES, Asked, Choice, Missing, Sample
from carvid.evaluate.figures import Figure, Figures
from carvid.evaluate.instances import Instances
from carvid.evaluate.plain_pickle import load_plain
from carvid.evaluate.predicted import Predicted
from carvid.evaluate.referring_images import read_referring_images
from carvid.result import FrameResult

PRECISIONS = {"P@.5": 0.5, "P@.6": 0.6, "P@.7": 0.7, "P@.8": 0.8, "P@.9": 0.9}
_SPLITS = ("val", "testA", "testB", "test", "train")
_SPLITTERS = ("unc", "google", "umd")
_UNION_UP_TO = 0.05


@dataclass(frozen=True)
class Referent:
    """An object: its expressions by sent_id, all ids as text."""

    id: str
    image: str
    annotation: str
    sentences: Mapping[str, str]

    @property
    def together(self) -> tuple[str, ...]:
        """Its expressions as they are asked together: lower case, without " and /, each once."""
        plain = (text.lower().replace('"', "").replace("/", "").strip() for text in self.sentences.values())
        return tuple(dict.fromkeys(text for text in plain if text))


@dataclass(frozen=True)
class RefCoco:
    """See `carvid.evaluate.contract.Benchmark`. splitter: whose split counts unless one is named."""

    name: str
    splitter: str
    splits: tuple[str, ...]
    names: tuple[str, ...] = PAPER_NAMES

    @property
    def preset(self) -> str:
        return self.name

    def read(self, root: Path, choice: Choice) -> RefCocoDataSet:
        split = choice.split or self.splits[0]
        splitter, _, part = split.rpartition("/")
        if part not in _SPLITS or (splitter and splitter not in _SPLITTERS):
            raise UsageError(
                f"no split {split!r}; expected one of {', '.join(_SPLITS)}, with {', '.join(_SPLITTERS)} and / before "
                "it for another splitter"
            )
        refs = root / self.name / f"refs({splitter or self.splitter}).p"
        found = read_referring_images(
            root,
            self.name,
            refs,
            part,
            choice,
            read=lambda: _referents(refs, part),
            ids=lambda referents: {
                "ref_id": (one.id for one in referents),
                "sent_id": (key for one in referents for key in one.sentences),
            },
            sample=_sample,
        )
        return RefCocoDataSet(self.name, split, found.samples, found.instances, found.references)

    def paint(
        self, sample: Sample, frame: str, found: Mapping[str, FrameResult]
    ) -> Iterable[tuple[str, NDArray[np.uint8]]]:
        for name, result in found.items():
            kind, _, number = name.partition("/")
            masks, scores = per_query(result)
            mask = masks[0] if kind == "expression" else merged(masks, scores)
            yield f"{kind}s/{number}.png", mask.astype(np.uint8)


REFCOCO = RefCoco("refcoco", "unc", ("val", "testA", "testB"))
REFCOCO_PLUS = RefCoco("refcoco+", "unc", ("val", "testA", "testB"))
REFCOCOG = RefCoco("refcocog", "umd", ("val", "test"))


@dataclass(frozen=True)
class RefCocoDataSet:
    """See `carvid.evaluate.contract.DataSet`."""

    name: str
    split: str
    samples: tuple[Sample, ...]
    instances: Instances
    referents: Mapping[str, list[Referent]]

    def score(self, predictions: Path, missing: Missing) -> Figures:
        predicted = Predicted(predictions, missing)
        alone: dict[str, tuple[int, int]] = {}
        together: dict[str, tuple[int, int]] = {}
        for sample in self.samples:
            for one in self.referents[sample.name]:
                truth = self.instances.mask([one.annotation], sample.size)
                for sentence in one.sentences:
                    found = predicted.read(f"expressions/{sentence}.png", sample.size, 255)
                    alone[sentence] = shared_and_either(truth, found > 0)
                found = predicted.read(f"referents/{one.id}.png", sample.size, 255)
                together[one.id] = shared_and_either(truth, found > 0)
        predicted.refuse_if_any()
        overall = iou_figures(alone.values()) | {
            f"{name} per referent": figure for name, figure in iou_figures(together.values()).items()
        }
        tables = {
            kind: {number: {"IoU": iou(*counts)} for number, counts in of.items()}
            for kind, of in (("expression", alone), ("referent", together))
        }
        return Figures(self.name, self.split, overall, tables, predicted.notes)


def per_query(result: FrameResult) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(N, H, W) bool masks and (N,) scores in [0, 1] of the queries; a query's objects are one mask.

    A query that was dropped has the score 0, as the released code has it.
    """
    masks = np.zeros((len(result.queries), *result.label_map.shape), bool)
    for place, verdict in enumerate(result.queries):
        for thing in result.objects:
            if thing.query == verdict.query:
                masks[place] |= thing.mask
    kept = [verdict.present or mask.any() for verdict, mask in zip(result.queries, masks, strict=True)]
    return masks, np.array([verdict.score for verdict in result.queries]) * kept


def merged(masks: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """One mask of the (N, H, W) masks of an object's expressions, as CaR's released code makes it.

    A pixel is in it where expressions of at least half the scores' sum have it; the union where that is at most 5 % of
    the picture.
    """
    total = scores.sum()
    if total > 0:
        agreed: NDArray[np.bool_] = np.tensordot(scores, masks, 1) >= total / 2
        if agreed.mean() > _UNION_UP_TO:
            return agreed
    union: NDArray[np.bool_] = np.any(masks, axis=0)
    return union


def shared_and_either(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> tuple[int, int]:
    """The pixels in both (H, W) masks, and in either."""
    return int(np.count_nonzero(truth & found)), int(np.count_nonzero(truth | found))


def iou(shared: int, either: int) -> float:
    """0 where both masks are empty, as in the published evaluations: an object was asked for."""
    return shared / either if either else 0.0


def iou_figures(counts: Iterable[tuple[int, int]]) -> dict[str, Figure]:
    """mIoU: the mean of the IoUs. oIoU: pixels shared over pixels in either, over all. P@t: the share with IoU >= t."""
    every = list(counts)
    ious = np.array([iou(*one) for one in every])
    if not every:
        return dict.fromkeys(("mIoU", "oIoU", *PRECISIONS))
    figures: dict[str, Figure] = {
        "mIoU": float(ious.mean()),
        "oIoU": iou(sum(shared for shared, _ in every), sum(either for _, either in every)),
    }
    return figures | {name: float((ious >= least).mean()) for name, least in PRECISIONS.items()}


def _referents(path: Path, part: str) -> list[Referent]:
    try:
        values = load_plain(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return [_referent(one) for one in values if _is_in(str(one["split"]), part)]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no list of referents ({type(error).__name__}: {error})") from error


def _is_in(split: str, part: str) -> bool:
    """Older files have testA as one letter of several, "testA" or "testAB"."""
    return part[-1] in split if part in ("testA", "testB") else split == part


def _referent(values: Mapping[str, Any]) -> Referent:
    sentences = {str(one["sent_id"]): str(one["sent"]) for one in values["sentences"]}
    return Referent(str(values["ref_id"]), str(values["image_id"]), str(values["ann_id"]), sentences)


def _sample(name: str, referents: list[Referent], instances: Instances, images: Path) -> Sample:
    image, size = instances.image(name, images)
    asked: list[Asked] = []
    for one in referents:
        if instances.image_of.get(one.annotation) != name:
            raise InputError(f"referent {one.id}: annotation {one.annotation} is not of image {name}")
        instances.mask([one.annotation], size)
        if not one.together or not all(text.strip() for text in one.sentences.values()):
            raise InputError(f"referent {one.id} has an empty expression, or none")
        asked.extend(Asked(f"expression/{key}", (text,), (1,)) for key, text in one.sentences.items())
        asked.append(Asked(f"referent/{one.id}", one.together, (1,) * len(one.together)))
    return Sample(name, (str(image),), size, tuple(asked))
