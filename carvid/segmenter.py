"""VideoSegmenter: a frame in, its masks out. The one place that knows the order of the method's steps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.car.classifier import ClassifierTexts, FrameClassifier
from carvid.car.proposals import FrameFeatures, MaskProposer, ProposalOptions, ProposalTexts, look
from carvid.car.recurrence import Recurrence, recur, scatter
from carvid.clip.device import resolve_device, resolve_dtype
from carvid.clip.load import LoadedClip, load_pair
from carvid.clip.names import resolve_pair
from carvid.clip.preprocess import PreprocessOptions, preprocess
from carvid.config import Settings, load_settings
from carvid.errors import UsageError
from carvid.frame import Frame, FrameResult
from carvid.refine.crf import DenseCRF
from carvid.wording import fill

# A label map is 8 bits deep, and 0 is the background.
MOST_QUERIES = 255


@dataclass(frozen=True)
class SeenFrame:
    """A frame on the device, (H, W, 3) uint8 RGB, with f's features of it."""

    frame: Frame
    image: Tensor
    features: FrameFeatures


class VideoSegmenter:
    """Segments frames with one query set shared by all of them.

    queries: as given, duplicates included. seconds: time spent so far per stage, in seconds.
    Nothing but that and the spatial lattice of the CRF is kept from frame to frame.
    """

    def __init__(
        self,
        proposer: LoadedClip,
        classifier: LoadedClip,
        queries: Sequence[str],
        settings: Settings,
        *,
        truncate: bool = False,
    ) -> None:
        self.queries = _checked(queries)
        self.settings = settings
        self.seconds: dict[str, float] = {}
        # Duplicates share one place in the softmax, where they would halve each other's score.
        self._unique = tuple(dict.fromkeys(query.strip() for query in self.queries))
        self._place = [self._unique.index(query.strip()) for query in self.queries]
        self._proposer_clip, self._classifier_clip = proposer, classifier
        self._look = proposer.preprocess
        f_texts, g_texts = self._embed(proposer, classifier, truncate)
        options = ProposalOptions(settings.mode == "refer", settings.cam == "clip-es", settings.lam)
        self._proposer = MaskProposer(proposer.tower, f_texts, options)
        self._classifier_texts = g_texts
        self._crf = DenseCRF(device=proposer.device) if settings.crf else None

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
        device: str = "auto",
        dtype: str = "auto",
        truncate: bool = False,
        offline: bool = False,
        allow_pickle: bool = False,
    ) -> VideoSegmenter:
        """Load the weights and embed the texts, once per video.

        model: names f and g (`carvid models` lists names); proposer and classifier override one each; without
        any the preset's own. The keywords from mode to crf override the preset. An empty background or
        negatives means none. Raises UsageError for options and queries, WeightsError for weights.
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
        place = resolve_device(device)
        clips = load_pair(
            *specs,
            device=place,
            dtype=resolve_dtype(dtype, place),
            offline=offline,
            allow_pickle=allow_pickle,
        )
        return cls(*clips, queries, settings, truncate=truncate)

    def run(self, frames: Iterable[Frame | NDArray[np.uint8]]) -> Iterator[FrameResult]:
        """Segment each frame as it is asked for. Bare images are numbered from 0."""
        for i, frame in enumerate(frames):
            yield self.step(_as_frame(frame, i))

    def step(self, frame: Frame | NDArray[np.uint8]) -> FrameResult:
        """Segment one frame: a `Frame`, or an image (H, W, 3) uint8 RGB."""
        return self.segment(self.see(frame))

    @torch.inference_mode()
    def see(self, frame: Frame | NDArray[np.uint8]) -> SeenFrame:
        """What f sees of a frame before any query is known; other query sets of the same CLIPs may share it."""
        frame = _as_frame(frame, 0)
        image = torch.from_numpy(np.array(frame.image)).to(self._proposer_clip.device)
        with self._timed("trunk"):
            return SeenFrame(frame, image, look(self._proposer_clip.tower, self._planes(image)))

    @torch.inference_mode()
    def segment(self, seen: SeenFrame) -> FrameResult:
        """The recurrence and the refinement on a frame that was seen."""
        image, size = seen.image, (seen.image.shape[0], seen.image.shape[1])
        with self._timed("cam"):
            proposer = self._proposer.on(seen.features, size)
        settings = self.settings
        classifier = FrameClassifier(
            image, self._encode, self._classifier_texts, settings.eta, settings.prompts
        )
        with self._timed("recurrence"):
            found = recur(proposer, classifier, len(self._unique), settings.theta)
        with self._timed("crf" if self._crf else "threshold"):
            masks, label_map = self._masks(image, found)
        return self._result(seen.frame, found, masks, label_map)

    def with_queries(self, queries: Sequence[str]) -> VideoSegmenter:
        """Another query set on the same weights, settings and lattices."""
        other = VideoSegmenter(self._proposer_clip, self._classifier_clip, queries, self.settings)
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

    def _planes(self, image: Tensor) -> Tensor:
        """f's input: both sides stretched up to multiples of the patch size, normalised; (1, 3, H', W')."""
        patch = self._proposer_clip.tower.patch_size_px
        height, width = (-(-side // patch) * patch for side in image.shape[:2])
        look = PreprocessOptions(
            size=(height, width), shortest_edge=None, mean=self._look.mean, std=self._look.std
        )
        return preprocess(image[None], look).to(self._proposer_clip.dtype)

    def _encode(self, prompted: Tensor) -> Tensor:
        """g's embeddings (K, d) of prompted images (K, H, W, 3) uint8 RGB."""
        clip = self._classifier_clip
        with self._timed("classifier"):
            return clip.tower.embed(preprocess(prompted, clip.preprocess).to(clip.dtype))

    def _masks(self, image: Tensor, found: Recurrence) -> tuple[Tensor, Tensor]:
        """Masks of the kept queries (K, H, W) bool and the label map (H, W), values 0 .. K."""
        if self._crf is None:
            cut, responses = self.settings.eta, found.proposals
        elif self.settings.mode == "refer":
            cut, responses = 0.5, self._crf.refine_binary(image, found.proposals)
        else:
            labels = self._crf.refine_labels(image, found.proposals).argmax(0)
            return labels == torch.arange(1, len(found.kept) + 1, device=labels.device)[:, None, None], labels
        strongest, query = responses.max(0)
        return responses > cut, torch.where(strongest > cut, query + 1, 0)

    def _result(self, frame: Frame, found: Recurrence, masks: Tensor, label_map: Tensor) -> FrameResult:
        count = len(self._unique)
        shown = [
            query in found.kept and (found.present[query] or self.settings.keep_best)
            for query in range(count)
        ]
        if not all(shown[query] for query in found.kept):
            masks, label_map = torch.zeros_like(masks), torch.zeros_like(label_map)
        # The label of a query is its first place among the queries given.
        labels = torch.tensor([0, *(self._place.index(query) + 1 for query in found.kept)], dtype=torch.uint8)
        place = self._place
        steps = tuple(step.spread(place) for step in found.steps)
        return FrameResult(
            index=frame.index,
            pts_seconds=frame.pts_seconds,
            name=frame.name,
            label_map=labels[label_map.cpu()].numpy(),
            masks=scatter(masks, found.kept, count)[place].cpu().numpy(),
            proposals=scatter(found.proposals, found.kept, count)[place].cpu().numpy(),
            scores=np.array(found.scores, np.float32)[place],
            present=np.array(found.present)[place],
            steps=steps,
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


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
