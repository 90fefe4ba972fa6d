"""VideoSegmenter: a frame in, its masks out. The one place that knows the order of the method's steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.batch import Batch, gather
from carvid.car.carry import Carry, CarryOptions
from carvid.car.classifier import ClassifierTexts
from carvid.car.clip_rnn import ClipRnn
from carvid.car.proposals import FrameFeatures, ProposalTexts
from carvid.car.recurrence import Recurrence, scatter
from carvid.clip.load import LoadedClip, load_pair
from carvid.clip.names import resolve_pair
from carvid.config import Settings, load_settings
from carvid.errors import UsageError
from carvid.frame import Frame, FrameResult, SamRecord
from carvid.media.packed import to_host
from carvid.refine.crf import DenseCRF
from carvid.sam.ensemble import SamEnsemble, SamOptions
from carvid.sam.load import LoadedSam, load_sam
from carvid.sam.matching import label_map
from carvid.sam.names import resolve_sam
from carvid.stopwatch import Stopwatch
from carvid.weights.device import resolve_device, resolve_dtype
from carvid.wording import fill

# A label map is 8 bits deep, and 0 is the background.
MOST_QUERIES = 255


# A frame, its image on the device, and what the recurrence left.
Found = tuple[Frame, Tensor, Recurrence]


@dataclass(frozen=True)
class SeenFrames:
    """B frames of one size on the device, with f's features of them.

    images: (B, H, W, 3) uint8 RGB. each: its frames one by one, the same objects for every query set, by which the CRF
    knows an image again.
    """

    frames: tuple[Frame, ...]
    images: Tensor
    each: tuple[Tensor, ...]
    features: FrameFeatures


class VideoSegmenter:
    """Segments frames with one query set shared by all of them.

    queries: as given, duplicates included. stopwatch: where time goes; put one in its place that waits for
    the device to measure on an accelerator.
    Nothing but that, the spatial lattice of the CRF and, where it was asked for, what `carry` needs is kept from
    frame to frame.
    """

    def __init__(
        self,
        proposer: LoadedClip,
        classifier: LoadedClip,
        queries: Sequence[str],
        settings: Settings,
        *,
        truncate: bool = False,
        sam: LoadedSam | None = None,
        sam_options: SamOptions | None = None,
        carry: CarryOptions | None = None,
        batch: int | None = None,
    ) -> None:
        self.queries = _checked(queries)
        self.settings = settings
        self.stopwatch = Stopwatch()
        # Duplicates share one place in the softmax, where they would halve each other's score.
        self._unique = tuple(dict.fromkeys(query.strip() for query in self.queries))
        self._place = [self._unique.index(query.strip()) for query in self.queries]
        self._proposer_clip, self._classifier_clip = proposer, classifier
        self._truncate = truncate
        texts = self._embed(proposer, classifier, truncate)
        self._rnn = ClipRnn(proposer, classifier, *texts, settings)
        self._carry_options = carry
        self._carry: Carry | None = None
        self._last_index = -1
        if carry is not None and batch not in (None, 1):
            raise UsageError(
                "carry and batch exclude each other: a frame starts from what the one before left"
            )
        self._batch = Batch(batch if carry is None else 1, proposer.device)
        self._crf = DenseCRF(device=proposer.device) if settings.crf else None
        self._sam, self._sam_options = sam, sam_options
        self._ensemble = None if sam is None else SamEnsemble.from_loaded(sam, sam_options)

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str] | None = None,
        *,
        queries: Sequence[str],
        proposer: str | PathLike[str] | None = None,
        classifier: str | PathLike[str] | None = None,
        preset: str = "default",
        mode: str | None = None,
        eta: float | None = None,
        theta: float | None = None,
        lam: float | None = None,
        cam: str | None = None,
        prompts: Sequence[str] | None = None,
        templates: Sequence[str] | None = None,
        background: Sequence[str] | None = None,
        negatives: Sequence[str] | None = None,
        crf: bool | None = None,
        sam: str | PathLike[str] | None = None,
        sam_options: SamOptions | None = None,
        device: str = "auto",
        dtype: str = "auto",
        carry: CarryOptions | None = None,
        batch: int | None = None,
        truncate: bool = False,
        offline: bool = False,
        allow_pickle: bool = False,
    ) -> VideoSegmenter:
        """Load the weights and embed the texts, once per video.

        model: names f and g (`carvid models` lists names); proposer and classifier override one each; without
        any the preset's own. The keywords from mode to crf override the preset. An empty background or
        negatives means none. sam: a SAM that refines the masks; sam_options: how it is asked.
        carry: start a frame with the queries present in the one before; None, as in the paper, with all.
        batch: frames that go through f and g together; None for as many as a CUDA device's memory holds, elsewhere 1.
        Raises UsageError for options and queries, WeightsError for weights.
        """
        settings = load_settings(
            preset,
            mode=mode,
            eta=eta,
            theta=theta,
            lam=lam,
            cam=cam,
            prompts=_tuple(prompts),
            templates=_tuple(templates),
            background=_tuple(background),
            background_groups=() if background is not None else None,
            negatives=_tuple(negatives),
            crf=crf,
        )
        _checked(queries)
        specs = resolve_pair(settings.model if model is None else model, proposer, classifier)
        sam_spec = None if sam is None else resolve_sam(sam)
        place = resolve_device(device)
        options: dict[str, Any] = {
            "device": place,
            "dtype": resolve_dtype(dtype, place),
            "offline": offline,
            "allow_pickle": allow_pickle,
        }
        # SAM first: of what is not to be had, the larger download should be missed before CLIP is loaded.
        loaded_sam = None if sam_spec is None else load_sam(sam_spec, **options)
        clips = load_pair(*specs, **options)
        return cls(
            *clips,
            queries,
            settings,
            truncate=truncate,
            sam=loaded_sam,
            sam_options=sam_options,
            carry=carry,
            batch=batch,
        )

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
        numbered = (_as_frame(frame, i) for i, frame in enumerate(frames))
        error: Exception | None = None
        while error is None:
            some, error = gather(numbered, self.batch)
            if not some and error is None:
                return
            yield from self.steps(some)
        raise error

    def step(self, frame: Frame | NDArray[np.uint8]) -> FrameResult:
        """Segment one frame: a `Frame`, or an image (H, W, 3) uint8 RGB."""
        (result,) = self.steps([_as_frame(frame, 0)])
        return result

    @torch.inference_mode()
    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        """Segment frames, in their order; those of one size that follow each other go through f and g together.

        Where a GPU has too little memory for them, they are halved, down to one by one.
        """
        checked = [_as_frame(frame, i) for i, frame in enumerate(frames)]
        for _, alike in groupby(checked, key=lambda frame: frame.image.shape):
            for found in self._batch.run(list(alike), self._found):
                for one in found:
                    yield self._refined(*one)
                del found, one

    @torch.inference_mode()
    def see(self, frame: Frame | NDArray[np.uint8]) -> SeenFrames:
        """What f sees of a frame before any query is known; other query sets of the same CLIPs may share it."""
        return self._see([_as_frame(frame, 0)])

    @torch.inference_mode()
    def segment(self, seen: SeenFrames) -> FrameResult:
        """The recurrence and the refinement on the one frame that was seen."""
        (found,) = self._recur(seen)
        return self._refined(*found)

    def with_queries(self, queries: Sequence[str]) -> VideoSegmenter:
        """Another query set on the same weights, settings and lattices."""
        other = VideoSegmenter(
            self._proposer_clip,
            self._classifier_clip,
            queries,
            self.settings,
            truncate=self._truncate,
            sam=self._sam,
            sam_options=self._sam_options,
            carry=self._carry_options,
            batch=self._batch.asked,
        )
        other._crf = self._crf
        return other

    def describe(self) -> dict[str, Any]:
        """Models with their hashes, and all settings: what a record needs to make the same masks again."""
        settings = asdict(self.settings)
        settings["background"] = self.settings.background_texts(self._unique)
        settings["negatives"] = self.settings.negative_texts(self._unique)
        clips = {"proposer": self._proposer_clip, "classifier": self._classifier_clip}
        return {
            "models": {
                role: {"name": clip.name, "sha256": clip.sha256, "source": clip.source}
                for role, clip in clips.items()
            },
            "device": str(self._proposer_clip.device),
            "dtype": str(self._proposer_clip.dtype).removeprefix("torch."),
            "settings": settings,
            "carry": None if self._carry_options is None else asdict(self._carry_options),
            "sam": self._describe_sam(),
        }

    def _describe_sam(self) -> dict[str, Any] | None:
        if self._sam is None or self._ensemble is None:
            return None
        sam = self._sam
        return {
            "name": sam.name,
            "sha256": sam.sha256,
            "source": sam.source,
            "options": asdict(self._ensemble.options),
        }

    def _embed(
        self, proposer: LoadedClip, classifier: LoadedClip, truncate: bool
    ) -> tuple[ProposalTexts, ClassifierTexts]:
        settings = self.settings

        def worded(clip: LoadedClip, template: str, texts: Sequence[str]) -> Tensor:
            return clip.texts.embed([fill(template, text) for text in texts], truncate=truncate)

        background = settings.background_texts(self._unique)
        negatives = settings.negative_texts(self._unique)
        f_texts = ProposalTexts(
            queries=worded(proposer, settings.proposer_template, self._unique),
            background=worded(proposer, settings.background_template, background),
            logit_scale=proposer.logit_scale,
        )
        g_texts = ClassifierTexts(
            queries=torch.stack([worded(classifier, each, self._unique) for each in settings.templates]),
            negatives=torch.stack([worded(classifier, each, negatives) for each in settings.templates]),
            logit_scale=classifier.logit_scale,
        )
        return f_texts, g_texts

    def _found(self, frames: Sequence[Frame]) -> list[Found]:
        return self._recur(self._see(frames))

    def _see(self, frames: Sequence[Frame]) -> SeenFrames:
        with self.stopwatch.stage("resize"):
            pixels = np.stack([frame.image for frame in frames])
            images = torch.from_numpy(pixels).to(self._proposer_clip.device)
        return SeenFrames(tuple(frames), images, images.unbind(), self._rnn.see(images, self.stopwatch))

    def _recur(self, seen: SeenFrames) -> list[Found]:
        """The recurrence of each frame; with `carry`, of one frame from the queries that the one before left."""
        if self._carry_options is None:
            recurrences = self._rnn.recur(seen.images, seen.features, self.stopwatch)
            return list(zip(seen.frames, seen.each, recurrences, strict=True))
        (frame,), (image,) = seen.frames, seen.each
        if self._carry is None or frame.index < self._last_index:  # another video begins
            self._carry = Carry(self._carry_options, len(self._unique), self.settings.keep_best)
        self._last_index = frame.index
        started = self._carry.start(image)
        found = None
        if started:
            (found,) = self._rnn.only(started).recur(seen.images, seen.features, self.stopwatch)
        return [(frame, image, self._carry.end(started, found, image))]

    def _refined(self, frame: Frame, image: Tensor, found: Recurrence) -> FrameResult:
        watch, settings = self.stopwatch, self.settings
        with watch.stage("crf" if self._crf else "threshold"):
            masks, responses = self._masks(image, found)
        # An absent query's mask is empty, also where it was the last one standing.
        if not all(found.present[query] or settings.keep_best for query in found.kept):
            masks = torch.zeros_like(masks)
        records = None
        if self._ensemble is not None:
            refined = self._ensemble.refine(image, masks)
            masks, records = refined.masks, refined.records
            watch.seconds.update({f"sam/{stage}": spent for stage, spent in self._ensemble.seconds.items()})
        with watch.stage("result"):
            return self._result(frame, found, masks, label_map(masks, responses), records)

    def _masks(self, image: Tensor, found: Recurrence) -> tuple[Tensor, Tensor]:
        """Masks (K, H, W) bool of the kept queries, and how strongly each responds (K, H, W)."""
        if self._crf is None:
            cut, responses = self.settings.eta, found.proposals
        elif self.settings.mode == "refer":
            cut, responses = 0.5, self._crf.refine_binary(image, found.proposals)
        else:
            shares = self._crf.refine_labels(image, found.proposals)  # (K + 1, H, W), background first
            queries = torch.arange(1, len(found.kept) + 1, device=shares.device)
            return shares.argmax(0) == queries[:, None, None], shares[1:]
        return responses > cut, responses

    def _result(
        self,
        frame: Frame,
        found: Recurrence,
        masks: Tensor,
        label_map: Tensor,
        records: tuple[SamRecord, ...] | None,
    ) -> FrameResult:
        count = len(self._unique)
        if records is not None:
            by_query = dict(zip(found.kept, records, strict=True))
            records = tuple(by_query.get(query, SamRecord()) for query in self._place)
        # The label of a query is its first place among the queries given.
        places = [0, *(self._place.index(query) + 1 for query in found.kept)]
        labels = torch.tensor(places, dtype=torch.uint8, device=label_map.device)
        place = self._place

        def read_proposals() -> NDArray[np.float32]:
            return scatter(found.proposals, found.kept, count)[place].cpu().numpy()

        steps = tuple(step.spread(place) for step in found.steps)
        return FrameResult(
            index=frame.index,
            pts_seconds=frame.pts_seconds,
            name=frame.name,
            label_map=labels[label_map].cpu().numpy(),
            masks=scatter(to_host(masks), found.kept, count)[place].numpy(),
            read_proposals=read_proposals,
            scores=np.array(found.scores, np.float32)[place],
            present=np.array(found.present)[place],
            steps=steps,
            sam=records,
        )


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(values, str):
        raise UsageError(f"a list of texts is expected, found the text {values!r}")
    return None if values is None else tuple(values)


def _checked(queries: Sequence[str]) -> tuple[str, ...]:
    if isinstance(queries, str):
        raise UsageError(f"queries is the text {queries!r}; expected a list of texts")
    if not queries:
        raise UsageError("no query: expected at least one expression, such as 'the red car'")
    for i, query in enumerate(queries):
        if not query.strip():
            raise UsageError(f"query {i + 1} of {len(queries)} is empty: expected words")
    if len(queries) > MOST_QUERIES:
        raise UsageError(
            f"{len(queries)} queries; expected at most {MOST_QUERIES}, the labels of an 8-bit mask"
        )
    return tuple(queries)


def _as_frame(frame: Frame | NDArray[np.uint8], index: int) -> Frame:
    if not isinstance(frame, Frame):
        frame = Frame(index=index, pts_seconds=None, image=frame, name=f"{index:05d}")
    image = frame.image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UsageError(
            f"the image of frame {frame.name} is {image.shape} {image.dtype}; expected (H, W, 3) uint8 RGB"
        )
    return frame
