"""Session: one video and one query set. The only place that knows the order of the method's steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.batch import Batch
from carvid.car.classifier import ClassifierTexts, class_probabilities
from carvid.car.prompts import draw_prompts
from carvid.car.proposals import FrameFeatures, ProposalTexts
from carvid.car.recurrence import Recurrence, scatter
from carvid.engines import Judge, run_session
from carvid.errors import UsageError
from carvid.evidence import Evidence, SamRecord
from carvid.frame import Frame
from carvid.media.packed import PackedMasks, to_host
from carvid.recipe import Recipe
from carvid.refine.crf import FrameCrf
from carvid.result import FrameResult, ObjectResult
from carvid.sam.ensemble import SamEnsemble
from carvid.sam.matching import label_map, segments_within
from carvid.stopwatch import Stopwatch
from carvid.wording import checked_queries, distinct, folded

if TYPE_CHECKING:
    from carvid.model import Model


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """A frame on the device. image: (H, W, 3) uint8 RGB. crf: the image's CRF; None where the recipe has none."""

    frame: Frame
    image: Tensor
    crf: FrameCrf | None


@dataclass(frozen=True, eq=False)
class SeenFrames:
    """B frames of one size and f's features of them, which no query changes; sessions of one model may share them.

    each: the frames one by one. images: (B, H, W, 3) uint8 RGB on the device. features: f's.
    """

    each: tuple[SeenFrame, ...]
    images: Tensor
    features: FrameFeatures


# Masks that `judge` draws at a time.
JUDGED_AT_ONCE = 8

# A frame and the outcome of its recurrence.
Found = tuple[SeenFrame, Recurrence]


class Session:
    """Segments the frames of one video, in order, with one query set. A context manager; for one thread.

    queries: as given, duplicates included.
    stopwatch: adds up the seconds per stage; to measure on an accelerator, replace it by one that waits for the device.
    Between frames it keeps only the stopwatch and SAM's counters.
    """

    def __init__(self, model: Model, queries: Sequence[str]) -> None:
        self.model = model
        self.stopwatch = Stopwatch()
        self._batch = Batch(model.recipe.batch, model.proposer.device)
        self._ensemble: SamEnsemble | None = model.ensemble()
        self.ask(queries)

    def ask(self, queries: Sequence[str]) -> None:
        """Use other queries from the next frame on. Raises UsageError for queries that cannot be used."""
        asked = checked_queries(queries)
        # Queries that read alike share one place in the softmax; with a place each, they would halve each other's
        # score.
        compete = "duplicates-compete" in self.recipe.switches
        unique = tuple(query.strip() for query in (asked if compete else distinct(asked)))
        names = [folded(query) for query in unique]
        self._first = [names.index(name) for name in names]
        self._rnn = self.model.rnn(unique)
        self.queries, self._unique = asked, unique
        self._place = list(range(len(asked))) if compete else [names.index(folded(query)) for query in asked]

    def restart(self) -> None:
        """Begin another video: everything kept from earlier frames is dropped, except the seconds."""
        self._ensemble = self.model.ensemble()

    def close(self) -> None:
        """Free what is held for this video; the weights stay with the model."""
        self._ensemble = None

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
        """Wall-clock seconds so far per stage: resize (f's and g's inputs), trunk, cam, affinity, prompts (with the
        recurrence itself), classifier, crf or threshold, sam/..., result."""
        return self.stopwatch.seconds

    @property
    def totals(self) -> dict[str, Any]:
        """Counts over the frames so far, in types JSON holds: `sam`, from `SamEnsemble.totals`; empty without a SAM."""
        return {} if self._ensemble is None else {"sam": self._ensemble.totals}

    @property
    def texts(self) -> tuple[ProposalTexts, ClassifierTexts]:
        """The embedded texts of f and of g in the first step; a query given twice appears once."""
        return self._rnn.f_texts[0], self._rnn.g_texts

    @property
    def batch(self) -> int:
        """How many frames to give `steps` at a time; 1 until a frame's memory is known, unless the recipe sets it."""
        return self._batch.frames

    def run(self, frames: Iterable[Frame | NDArray[np.uint8]]) -> Iterator[FrameResult]:
        """Segment frames in order, `batch` of them at a time; one result per frame.

        frames: `Frame`s, or images (H, W, 3) uint8 RGB, which are numbered from 0.
        Raises UsageError for an image of another shape or dtype.
        """
        return run_session(self, numbered(frames))

    def step(self, frame: Frame | NDArray[np.uint8]) -> FrameResult:
        """Segment one frame: a `Frame`, or an image (H, W, 3) uint8 RGB. Raises UsageError for another shape
        or dtype."""
        (result,) = self.steps([as_frame(frame, 0)])
        return result

    @torch.inference_mode()
    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        """Segment frames in order; consecutive frames of one size go through f and g together.

        Where a GPU's memory is too small for a batch, it is halved, down to one frame.
        Raises UsageError for an image of another shape or dtype, torch.OutOfMemoryError where one frame does not fit.
        """
        checked = [as_frame(frame, i) for i, frame in enumerate(frames)]
        for _, alike in groupby(checked, key=lambda frame: frame.image.shape):
            for found in self._batch.run(list(alike), self._found):
                # Each frame's CRF lattice is large, so it is freed before the next is built.
                while found:
                    yield self._refined(*found.pop(0))

    def finish(self) -> Iterator[FrameResult]:
        """Nothing: `steps` holds no result back."""
        return iter(())

    def settle(self) -> Iterator[FrameResult]:
        """Nothing, as for `finish`."""
        return iter(())

    @torch.inference_mode()
    def see(self, frame: Frame | NDArray[np.uint8]) -> SeenFrames:
        """f's features of one frame, which no query changes; other sessions of the same model may share them."""
        return self.model.see([as_frame(frame, 0)], self.stopwatch)

    @torch.inference_mode()
    def segment(self, seen: SeenFrames) -> FrameResult:
        """Run the recurrence and the refinement on the one frame that `see` returned."""
        (result,) = self.segment_each(seen)
        return result

    @torch.inference_mode()
    def segment_each(self, seen: SeenFrames) -> Iterator[FrameResult]:
        """Run the recurrence on frames that `Model.see` returned, together, and the refinement on one by one."""
        for found in self._recur(seen):
            yield self._refined(*found)

    def judge(self, text: str, rivals: Sequence[str]) -> Judge:
        """g's score (eq. 5) of masks for a text, among its rivals and the negatives.

        Raises UsageError as `ask` does.
        """
        recipe, device = self.recipe, self.model.proposer.device
        unique = distinct([text, *rivals])
        rnn = self.model.rnn(unique)

        @torch.inference_mode()
        def scores(image: NDArray[np.uint8], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
            shown, on = (torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in (image, masks))
            with self.stopwatch.stage("prompts"):
                # A few at a time: the prompted images are as large as the frame.
                embeddings = [
                    rnn.encode(draw_prompts(shown, some, recipe.prompts, recipe.switches), self.stopwatch)
                    for some in torch.split(on, JUDGED_AT_ONCE)
                ]
                found = class_probabilities(torch.cat(embeddings), rnn.g_texts, range(len(unique)))[:, 0]
            return found.float().cpu().numpy()

        return scores

    def describe(self) -> dict[str, Any]:
        """`Model.describe`, with the background texts and negatives used with these queries."""
        description, recipe = self.model.describe(), self.recipe
        texts = {
            "background": recipe.background_texts(self._unique),
            "negatives": recipe.negative_texts(self._unique),
        }
        return {**description, "settings": {**description["settings"], **texts}}

    def _found(self, frames: Sequence[Frame]) -> list[Found]:
        return self._recur(self.model.see(frames, self.stopwatch))

    def _recur(self, seen: SeenFrames) -> list[Found]:
        recurrences = self._rnn.recur(seen.images, seen.features, self.stopwatch)
        return list(zip(seen.each, recurrences, strict=True))

    def _refined(self, seen: SeenFrame, found: Recurrence) -> FrameResult:
        watch = self.stopwatch
        # Sessions that share frames may differ in it.
        crf = seen.crf if self.recipe.crf else None
        with watch.stage("threshold" if crf is None else "crf"):
            found, masks, responses = self._as_released(found, *self._masks(crf, found))
        records, segments = None, None
        if self._ensemble is not None:
            refined = self._ensemble.refine(seen.image, masks)
            masks, records, segments = refined.masks, refined.records, refined.found
            watch.seconds.update({f"sam/{stage}": spent for stage, spent in self._ensemble.seconds.items()})
        with watch.stage("result"):
            return self._result(seen.frame, found, masks, label_map(masks, responses), records, segments)

    def _masks(self, crf: FrameCrf | None, found: Recurrence) -> tuple[Tensor, Tensor]:
        """Masks (K, H, W) bool of the kept queries, and their responses (K, H, W) float32 in [0, 1]."""
        # An absent query's mask is empty, even that of the last one standing; then there is nothing to refine.
        if not (self.recipe.keep_best or all(found.present[query] for query in found.kept)):
            return torch.zeros_like(found.proposals, dtype=torch.bool), found.proposals
        if crf is None:
            return found.proposals > self.recipe.eta, found.proposals
        if self.recipe.mode == "refer":
            responses = crf.refine_binary(found.proposals)
            return responses > 0.5, responses
        shares = crf.refine_labels(found.proposals)  # (K + 1, H, W), background first
        queries = torch.arange(1, len(found.kept) + 1, device=shares.device)
        return shares.argmax(0) == queries[:, None, None], shares[1:]

    def _as_released(
        self, found: Recurrence, masks: Tensor, responses: Tensor
    ) -> tuple[Recurrence, Tensor, Tensor]:
        """What the switches make of the outcome, and of what `_masks` gave for it."""
        switches = self.recipe.switches
        if "empty-masks-shift" in switches and self.recipe.mode == "refer":
            rows = masks.flatten(1).any(1).nonzero()[:, 0].tolist()
            # Without a mask that code ends with an error.
            if rows:
                found = found.moved({query: query for query in found.kept[: len(rows)]})
                masks, responses = masks[rows], responses[rows]
        # Of queries that read the same, the last one is what their first place gets.
        taken = dict(sorted((self._first[query], query) for query in found.kept))
        if taken != {query: query for query in found.kept}:
            rows = [found.kept.index(query) for query in taken.values()]
            found, masks, responses = found.moved(taken), masks[rows], responses[rows]
        if "painted-by-score" in switches:
            scores = responses.new_tensor([found.scores[query] for query in found.kept])
            responses = scores[:, None, None].expand_as(responses)
        return found, masks, responses

    def _result(
        self,
        frame: Frame,
        found: Recurrence,
        masks: Tensor,
        labels: Tensor,
        records: tuple[SamRecord, ...] | None,
        segments: PackedMasks | None,
    ) -> FrameResult:
        count, place = len(self._unique), self._place
        if records is not None:
            by_query = dict(zip(found.kept, records, strict=True))
            records = tuple(by_query.get(query, SamRecord()) for query in place)

        def read_proposals() -> NDArray[np.float32]:
            return scatter(found.proposals, found.kept, count)[place].cpu().numpy()

        # A query's label is its first place among the given queries.
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
                read_segments=partial(segments_within, segments)
                if self.recipe.instances and segments is not None
                else None,
            ),
        )


def numbered(frames: Iterable[Frame | NDArray[np.uint8]]) -> Iterator[Frame]:
    """Frames as they are, and images as frames numbered from 0. Raises UsageError as `as_frame` does."""
    return (as_frame(frame, i) for i, frame in enumerate(frames))


def as_frame(frame: Frame | NDArray[np.uint8], index: int) -> Frame:
    """The frame, or an image (H, W, 3) uint8 RGB as frame `index`. Raises UsageError for another shape or dtype."""
    if not isinstance(frame, Frame):
        frame = Frame(index=index, pts_seconds=None, image=frame, name=f"{index:05d}")
    image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UsageError(
            f"the image of frame {frame.name} is {image.shape} {image.dtype}; expected (H, W, 3) uint8 RGB"
        )
    return frame
