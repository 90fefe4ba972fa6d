"""Model: a loaded recipe. Holds the weights and what depends on them alone; no video and no query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, replace
from functools import partial
from threading import RLock
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.car.classifier import ClassifierTexts, character_texts
from carvid.car.clip_rnn import ClipRnn, see
from carvid.car.proposals import ProposalTexts
from carvid.clip.load import LoadedClip
from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.recipe import Recipe
from carvid.refine.crf import DenseCRF, wrapped_picture
from carvid.sam.clicks import mask_at
from carvid.sam.ensemble import SamEnsemble
from carvid.sam.load import LoadedSam
from carvid.sam.tower import sam_tower
from carvid.session import SeenFrame, SeenFrames, Session
from carvid.stopwatch import Stopwatch
from carvid.wording import fill

T = TypeVar("T")

# Embedded texts that a model remembers: the query sets of some videos, in some wordings.
_TEXTS = 256


class TextMemory:
    """The last texts that were embedded. Threads may share it."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = RLock()

    def recall(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for this key, the same object each time as long as it is remembered."""
        with self._lock:
            if key not in self._known:
                self._known[key] = make()
            self._known.move_to_end(key)
            while len(self._known) > _TEXTS:
                self._known.popitem(last=False)
            found: T = self._known[key]
            return found


class Model:
    """Both CLIPs of CLIP as RNN, the dense CRF and, where the recipe names one, a SAM.

    Made by `carvid.loading.load_model`. It holds no frame; threads may share it, each with its own session.
    """

    def __init__(
        self,
        recipe: Recipe,
        proposer: LoadedClip,
        classifier: LoadedClip,
        sam: LoadedSam | None = None,
        *,
        texts: TextMemory | None = None,
    ) -> None:
        """texts: what another model with the same CLIPs has embedded."""
        self.recipe = recipe
        self._texts = TextMemory() if texts is None else texts
        rounds = "float16-positions" in recipe.switches
        self.proposer, self.classifier = (clip.rounding_positions(rounds) for clip in (proposer, classifier))
        self.sam = sam
        self.crf: DenseCRF | None = None
        if recipe.crf:
            self.crf = DenseCRF(recipe.crf_options, size=recipe.crf_size, device=proposer.device)

    def session(self, queries: Sequence[str]) -> Session:
        """A session for one video. Raises UsageError for queries that cannot be used."""
        return Session(self, queries)

    def with_settings(self, **changes: Any) -> Model:
        """The same weights with other settings, named as fields of `Recipe`. Raises UsageError as `Recipe` does."""
        recipe = replace(self.recipe, **changes)
        return Model(recipe, self.proposer, self.classifier, self.sam, texts=self._texts)

    @torch.inference_mode()
    def see(self, frames: Sequence[Frame], watch: Stopwatch | None = None) -> SeenFrames:
        """f's one pass over frames of the same size, before any query is known; `watch` times it."""
        watch = watch or Stopwatch()
        with watch.stage("resize"):
            pixels = np.stack([frame.image for frame in frames])
            images = torch.from_numpy(pixels).to(self.proposer.device)
        features = see(images, self.proposer, self.recipe, watch)
        each = (
            SeenFrame(frame, image, None if self.crf is None else self.crf.on(self._refined_on(image)))
            for frame, image in zip(frames, images, strict=True)
        )
        return SeenFrames(tuple(each), images, features)

    def _refined_on(self, image: Tensor) -> Tensor:
        """The picture whose edges the CRF follows, for a frame (H, W, 3) uint8 RGB."""
        return wrapped_picture(image) if "crf-wrapped-picture" in self.recipe.switches else image

    def ensemble(self) -> SamEnsemble | None:
        """A new SAM ensemble, for one video; None where the recipe names no SAM."""
        return None if self.sam is None else SamEnsemble.from_loaded(self.sam, self.recipe.sam_options)

    @torch.inference_mode()
    def click(
        self, image: NDArray[np.uint8], points: Sequence[tuple[float, float, bool]]
    ) -> tuple[NDArray[np.bool_], float]:
        """What the SAM finds at some points of an image (H, W, 3) uint8 RGB: a mask (H, W), and its IoU as it guesses.

        points: x and y in px, and whether the mask is to hold them. Raises UsageError where the recipe names no SAM.
        """
        if self.sam is None:
            raise UsageError("no SAM is loaded; name one with --sam (in Python, the recipe's `sam`)")
        found, score = mask_at(sam_tower(self.sam), torch.from_numpy(image), points)
        # A guess, which may be above 1.
        return found.cpu().numpy(), min(max(score, 0.0), 1.0)

    def texts(self, queries: Sequence[str]) -> tuple[tuple[ProposalTexts, ...], ClassifierTexts]:
        """The embedded texts of f, in each of `Settings.proposer_wordings`, and those of g, for distinct queries.

        Raises UsageError for an empty, too long or unencodable text.
        """
        recipe, memory = self.recipe, self._texts
        f, g = self.proposer, self.classifier
        background, negatives = recipe.background_texts(queries), recipe.negative_texts(queries)

        def worded(clip: LoadedClip, template: str, texts: Sequence[str]) -> Tensor:
            return clip.texts.embed([fill(template, text) for text in texts], truncate=recipe.truncate)

        def alike(clip: LoadedClip, template: str, texts: Sequence[str]) -> Tensor:
            """`worded`, for texts that most query sets have in common."""
            key = (id(clip.texts), template, tuple(texts), recipe.truncate)
            return memory.recall(key, lambda: worded(clip, template, texts))

        def of_f(wording: str) -> ProposalTexts:
            return ProposalTexts(
                queries=worded(f, wording, queries),
                background=alike(f, recipe.background_template, background),
                logit_scale=f.logit_scale,
            )

        wordings = recipe.classifier_wordings

        def of_g() -> ClassifierTexts:
            rows = torch.stack([worded(g, each, queries) for each in wordings])
            rivals = torch.stack([alike(g, each, negatives) for each in wordings])
            texts = ClassifierTexts(rows, rivals, g.logit_scale)
            if not recipe.reads_characters:
                return texts
            (wording,) = wordings
            characters = character_texts([fill(wording, query) for query in queries])
            later = torch.stack([g.texts.embed(row, blank=True) for row in characters])
            return replace(
                texts, later=replace(texts, queries=later, negatives=rivals.expand(len(later), -1, -1))
            )

        asked, cut = tuple(queries), recipe.truncate
        f_key = ("f", asked, background, recipe.background_template, cut)
        return (
            tuple(
                memory.recall((*f_key, wording), partial(of_f, wording))
                for wording in recipe.proposer_wordings
            ),
            memory.recall(("g", asked, negatives, wordings, recipe.reads_characters, cut), of_g),
        )

    def rnn(self, queries: Sequence[str]) -> ClipRnn:
        """The recurrence for distinct queries. Raises as `texts` does."""
        return ClipRnn(self.proposer, self.classifier, *self.texts(queries), self.recipe)

    def describe(self) -> dict[str, Any]:
        """What is needed to make the same masks again, as plain data: weights with their hashes, and the recipe.

        Two models may give different masks only if `carvid.recipe.record.deciding` of their descriptions differs.
        """
        clips = {"proposer": self.proposer, "classifier": self.classifier}
        options = self.recipe.sam_options
        return {
            "models": {role: _named(clip) for role, clip in clips.items()},
            "device": str(self.proposer.device),
            "dtype": self.proposer.number_type,
            **self.recipe.describe(),
            "sam": None if self.sam is None else {**_named(self.sam), "options": asdict(options)},
        }


def _named(weights: LoadedClip | LoadedSam) -> dict[str, str]:
    return {"name": weights.name, "sha256": weights.sha256, "source": weights.source}
