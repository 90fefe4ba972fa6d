"""Session: one video and one query set. A frame in, its result out; the one place that knows the order of the steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.batch import Batch
from carvid.car.carry import Carry
from carvid.car.classifier import ClassifierTexts
from carvid.car.proposals import FrameFeatures, ProposalTexts
from carvid.car.recurrence import Recurrence, scatter
from carvid.engines import run_session
from carvid.errors import UsageError
from carvid.evidence import Evidence, SamRecord
from carvid.frame import Frame
from carvid.media.packed import to_host
from carvid.recipe import Recipe
from carvid.refine.crf import FrameCrf
from carvid.result import FrameResult, ObjectResult
from carvid.sam.ensemble import SamEnsemble
from carvid.sam.matching import label_map
from carvid.stopwatch import Stopwatch
from carvid.wording import checked_queries, distinct, folded

if TYPE_CHECKING:
    from carvid.model import Model


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """A frame on the device. image: (H, W, 3) uint8 RGB. crf: of this image; None where none is asked for."""

    frame: Frame
    image: Tensor
    crf: FrameCrf | None


@dataclass(frozen=True, eq=False)
class SeenFrames:
    """B frames of one size, with what f sees of them before any query is known; sessions of one model may share them.

    images: (B, H, W, 3) uint8 RGB on the device.
    """

    each: tuple[SeenFrame, ...]
    images: Tensor
    features: FrameFeatures


# A frame, and what the recurrence left.
Found = tuple[SeenFrame, Recurrence]


class Session:
    """Segments the frames of one video, in their order, with one query set; a context manager. For one thread.

    queries: as given, duplicates included. stopwatch: where time goes; to measure on an accelerator, replace it by one
    that waits for the device.
    From frame to frame it keeps that, the counters of SAM and, where the recipe asks for it, what `carry` needs.
    """

    def __init__(self, model: Model, queries: Sequence[str]) -> None:
        self.model = model
        self.stopwatch = Stopwatch()
        self._batch = Batch(model.recipe.batch if model.recipe.carry is None else 1, model.proposer.device)
        self._carry: Carry | None = None
        self._ensemble: SamEnsemble | None = None
        self.ask(queries)
        self.restart()

    def ask(self, queries: Sequence[str]) -> None:
        """Ask for other queries from the next frame on. Raises UsageError for queries that cannot be used."""
        asked = checked_queries(queries)
        unique = tuple(query.strip() for query in distinct(asked))
        place = {folded(query): i for i, query in enumerate(unique)}
        self._rnn = self.model.rnn(unique)
        self.queries, self._unique = asked, unique
        self._place = [place[folded(query)] for query in asked]
        self._start_carry()

    def restart(self) -> None:
        """Begin another video: nothing of the frames before is remembered but the seconds."""
        self._ensemble = self.model.ensemble()
        self._start_carry()

    def close(self) -> None:
        """Free what belongs to this video; weights stay with the model."""
        self._ensemble = self._carry = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def recipe(self) -> Recipe:
        return self.model.recipe

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall-clock seconds spent so far per stage: resize (of f's and of g's input), trunk, cam, affinity,
        prompts (with the recurrence's own work), classifier, crf or threshold, sam/..., result."""
        return self.stopwatch.seconds

    @property
    def totals(self) -> dict[str, Any]:
        """What was counted over the frames so far, as JSON holds it: `sam` is `SamEnsemble.totals`."""
        return {} if self._ensemble is None else {"sam": self._ensemble.totals}

    @property
    def texts(self) -> tuple[ProposalTexts, ClassifierTexts]:
        """The embedded texts of f and of g; a query that was given twice is there once."""
        return self._rnn.f_texts, self._rnn.g_texts

    @property
    def batch(self) -> int:
        """How many frames to give `steps` at a time; 1 until the cost of a frame is known."""
        return self._batch.frames

    def run(self, frames: Iterable[Frame | NDArray[np.uint8]]) -> Iterator[FrameResult]:
        """Segment frames in their order, `batch` of them at a time. Bare images are numbered from 0."""
        return run_session(self, (as_frame(frame, i) for i, frame in enumerate(frames)))

    def step(self, frame: Frame | NDArray[np.uint8]) -> FrameResult:
        """Segment one frame: a `Frame`, or an image (H, W, 3) uint8 RGB."""
        (result,) = self.steps([as_frame(frame, 0)])
        return result

    @torch.inference_mode()
    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        """Segment frames, in their order; those of one size that follow each other go through f and g together.

        Where a GPU has too little memory for them, they are halved, down to one by one.
        """
        checked = [as_frame(frame, i) for i, frame in enumerate(frames)]
        for _, alike in groupby(checked, key=lambda frame: frame.image.shape):
            for found in self._batch.run(list(alike), self._found):
                # Each frame's CRF lattice is large, and goes before the next is built.
                while found:
                    yield self._refined(*found.pop(0))

    @torch.inference_mode()
    def see(self, frame: Frame | NDArray[np.uint8]) -> SeenFrames:
        """What f sees of a frame before any query is known; other sessions of the same model may share it."""
        return self.model.see([as_frame(frame, 0)], self.stopwatch)

    @torch.inference_mode()
    def segment(self, seen: SeenFrames) -> FrameResult:
        """The recurrence and the refinement on the one frame that was seen."""
        (found,) = self._recur(seen)
        return self._refined(*found)

    def describe(self) -> dict[str, Any]:
        """`Model.describe`, with the background texts and negatives that these queries meet."""
        told, recipe = self.model.describe(), self.recipe
        texts = {
            "background": recipe.background_texts(self._unique),
            "negatives": recipe.negative_texts(self._unique),
        }
        return {**told, "settings": {**told["settings"], **texts}}

    def _start_carry(self) -> None:
        options = self.recipe.carry
        self._carry = None if options is None else Carry(options, len(self._unique), self.recipe.keep_best)

    def _found(self, frames: Sequence[Frame]) -> list[Found]:
        return self._recur(self.model.see(frames, self.stopwatch))

    def _recur(self, seen: SeenFrames) -> list[Found]:
        """The recurrence of each frame; with `carry`, of one frame from the queries that the one before left."""
        if self._carry is None:
            recurrences = self._rnn.recur(seen.images, seen.features, self.stopwatch)
            return list(zip(seen.each, recurrences, strict=True))
        (frame,) = seen.each
        started = self._carry.start(frame.image)
        found = None
        if started:
            (found,) = self._rnn.only(started).recur(seen.images, seen.features, self.stopwatch)
        return [(frame, self._carry.end(started, found, frame.image))]

    def _refined(self, seen: SeenFrame, found: Recurrence) -> FrameResult:
        watch = self.stopwatch
        with watch.stage("threshold" if seen.crf is None else "crf"):
            masks, labels = self._masks(seen, found)
        records = None
        if self._ensemble is not None:
            refined = self._ensemble.refine(seen.image, masks)
            masks, records = refined.masks, refined.records
            watch.seconds.update({f"sam/{stage}": spent for stage, spent in self._ensemble.seconds.items()})
        with watch.stage("result"):
            return self._result(seen.frame, found, masks, label_map(masks, labels), records)

    def _masks(self, seen: SeenFrame, found: Recurrence) -> tuple[Tensor, Tensor]:
        """Masks (K, H, W) bool of the kept queries, and how strongly each responds (K, H, W)."""
        # An absent query's mask is empty, also where it was the last one standing: nothing is to be refined then.
        if not (self.recipe.keep_best or all(found.present[query] for query in found.kept)):
            return torch.zeros_like(found.proposals, dtype=torch.bool), found.proposals
        if seen.crf is None:
            return found.proposals > self.recipe.eta, found.proposals
        if self.recipe.mode == "refer":
            responses = seen.crf.refine_binary(found.proposals)
            return responses > 0.5, responses
        shares = seen.crf.refine_labels(found.proposals)  # (K + 1, H, W), background first
        queries = torch.arange(1, len(found.kept) + 1, device=shares.device)
        return shares.argmax(0) == queries[:, None, None], shares[1:]

    def _result(
        self,
        frame: Frame,
        found: Recurrence,
        masks: Tensor,
        labels: Tensor,
        records: tuple[SamRecord, ...] | None,
    ) -> FrameResult:
        count, place = len(self._unique), self._place
        if records is not None:
            by_query = dict(zip(found.kept, records, strict=True))
            records = tuple(by_query.get(query, SamRecord()) for query in place)

        def read_proposals() -> NDArray[np.float32]:
            return scatter(found.proposals, found.kept, count)[place].cpu().numpy()

        # The label of a query is its first place among the queries given.
        places = [0, *(place.index(query) + 1 for query in found.kept)]
        own_labels = torch.tensor(places, dtype=torch.uint8, device=labels.device)
        by_place = scatter(to_host(masks), found.kept, count).numpy()
        return FrameResult(
            index=frame.index,
            pts_seconds=frame.pts_seconds,
            name=frame.name,
            label_map=own_labels[labels].cpu().numpy(),
            objects=tuple(
                ObjectResult(i, text, by_place[query], found.scores[query], found.present[query])
                for i, (text, query) in enumerate(zip(self.queries, place, strict=True), start=1)
            ),
            evidence=Evidence(
                steps=tuple(step.spread(place) for step in found.steps),
                read_proposals=read_proposals,
                sam=records,
            ),
        )


def as_frame(frame: Frame | NDArray[np.uint8], index: int) -> Frame:
    """The frame, or an image (H, W, 3) uint8 RGB as the frame `index`. Raises UsageError for another shape or type."""
    if not isinstance(frame, Frame):
        frame = Frame(index=index, pts_seconds=None, image=frame, name=f"{index:05d}")
    image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UsageError(
            f"the image of frame {frame.name} is {image.shape} {image.dtype}; expected (H, W, 3) uint8 RGB"
        )
    return frame
