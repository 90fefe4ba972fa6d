"""CLIP as RNN on a batch of frames: one pass of f, then the recurrences of all frames in lock step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from carvid.car.classifier import ClassifierTexts, FrameClassifier, classify
from carvid.car.proposals import (
    FrameFeatures,
    FrameProposer,
    MaskProposer,
    ProposalOptions,
    ProposalTexts,
    look,
)
from carvid.car.recurrence import Answer, Asked, Recurrence, recur_together
from carvid.clip.load import LoadedClip
from carvid.clip.preprocess import PreprocessOptions, preprocess
from carvid.recipe.option import Size
from carvid.recipe.settings import Settings
from carvid.stopwatch import Stopwatch

# Prompted images that g encodes at a time, so that memory does not grow with queries and frames.
IMAGES_AT_ONCE = 64


def see(images: Tensor, proposer: LoadedClip, settings: Settings, watch: Stopwatch) -> FrameFeatures:
    """f's one pass over each image of (B, H, W, 3) uint8 RGB, before any query is known."""
    with watch.stage("resize"):
        planes = frame_planes(images, proposer, settings.size)
    with watch.stage("trunk"):
        return look(proposer.tower, planes, affinity=settings.cam == "clip-es")


def frame_planes(images: Tensor, proposer: LoadedClip, size: Size) -> Tensor:
    """f's input (B, 3, H', W') from images (B, H, W, 3) uint8 RGB: normalised, in the proposer's dtype, of the size
    that `planes_size` gives."""
    options = proposer.preprocess
    height, width = planes_size((images.shape[1], images.shape[2]), size, proposer.tower.patch_size_px)
    resized = PreprocessOptions((height, width), None, mean=options.mean, std=options.std)
    return preprocess(images, resized).to(proposer.dtype)


def planes_size(frame: tuple[int, int], size: Size, patch_px: int) -> tuple[int, int]:
    """(H', W') of f's input for a frame (H, W), in px: shrunk until the shorter side is at most `size`, then stretched
    up to multiples of the patch size."""
    short = min(frame)
    at_most = short if size == "full" else min(size, short)
    # In whole numbers, so that no side is rounded up by a float's last bit.
    height, width = (-(-side * at_most // (short * patch_px)) * patch_px for side in frame)
    return height, width


class ClipRnn:
    """f and g with their embedded texts; keeps nothing from frame to frame.

    f_texts: f's in the wording of the first step, the second, and so on; the last are those of all later ones.
    """

    def __init__(
        self,
        proposer: LoadedClip,
        classifier: LoadedClip,
        f_texts: Sequence[ProposalTexts],
        g_texts: ClassifierTexts,
        settings: Settings,
    ) -> None:
        self.f_texts, self.g_texts = f_texts, g_texts
        self._f, self._g, self._settings = proposer, classifier, settings
        options = ProposalOptions(
            settings.mode == "refer", settings.cam == "clip-es", settings.lam, settings.switches
        )
        self.proposer = MaskProposer(proposer.tower, f_texts, options)

    def recur(self, images: Tensor, features: FrameFeatures, watch: Stopwatch) -> list[Recurrence]:
        """The recurrence of each image of (B, H, W, 3) uint8 RGB. features: what `see` returned for these images."""
        settings, size = self._settings, (images.shape[1], images.shape[2])
        with watch.stage("cam"):
            proposers = self.proposer.on(features, size)
        classifiers = [
            FrameClassifier(
                image,
                self.g_texts,
                settings.eta,
                settings.prompts,
                settings.switches,
                split=settings.split_things,
            )
            for image in images
        ]

        def answers(asked: dict[int, Asked]) -> list[Answer]:
            return classify(
                [classifiers[i] for i in asked], list(asked.values()), lambda drawn: self.encode(drawn, watch)
            )

        timed = [_Timed(proposer, watch) for proposer in proposers]
        with watch.stage("prompts"):
            count = len(self.f_texts[0].queries)
            return recur_together(timed, answers, count, settings.theta, settings.switches)

    def encode(self, prompted: Tensor, watch: Stopwatch) -> Tensor:
        """g's embeddings (K, d) float32 of length 1, of prompted images (K, H, W, 3) uint8 RGB, K at least 1."""
        parts = []
        last_block = "skip-last-block" not in self._settings.switches
        for start in range(0, len(prompted), IMAGES_AT_ONCE):
            with watch.stage("resize"):
                planes = preprocess(prompted[start : start + IMAGES_AT_ONCE], self._g.preprocess).to(
                    self._g.dtype
                )
            with watch.stage("classifier", items=len(planes)):
                parts.append(self._g.tower.embed(planes, last_block=last_block))
        return torch.cat(parts)


@dataclass(frozen=True)
class _Timed:
    """A proposer whose time counts as the stage `affinity`."""

    proposer: FrameProposer
    watch: Stopwatch

    def propose(self, live: Sequence[int], step: int) -> Tensor:
        with self.watch.stage("affinity"):
            return self.proposer.propose(live, step)
