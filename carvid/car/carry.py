"""Carrying the query set from frame to frame: a dropped query stays out until it is readmitted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.car.recurrence import Recurrence
from carvid.recipe.refinement import CarryOptions

# Frames are compared at this size (rows, columns), which hides camera shake and small motion.
THUMBNAIL = (9, 16)


class Carry:
    """Decides which queries each frame starts with, for the frames of one video in order.

    CaR starts every frame with all queries. When a frame starts with the survivors of the one before, it often needs a
    single recurrent step, but a query that appears is not noticed until the next readmission.
    """

    def __init__(self, options: CarryOptions, queries: int, keep_best: bool = False) -> None:
        """queries: how many there are. keep_best: whether the best query's mask is kept when none passes; the next
        frame then starts with all, because that query alone would always pass."""
        self._options, self._all, self._keep_best = options, tuple(range(queries)), keep_best
        self._live = self._all
        self._scores = [0.0] * queries
        self._frames = 0
        self._thumbnail: Tensor | None = None

    def start(self, image: Tensor) -> tuple[int, ...]:
        """The queries to start this frame with, ascending; empty when none survived. image: (H, W, 3) uint8 RGB."""
        thumbnail = F.interpolate(image.permute(2, 0, 1)[None].float(), THUMBNAIL, mode="area")
        before, self._thumbnail = self._thumbnail, thumbnail
        cut = before is None or float((thumbnail - before).abs().mean()) > self._options.cut
        if cut:
            self._frames = 0
        if self._frames % self._options.every == 0:
            self._live = self._all
        self._frames += 1
        return self._live

    def end(self, started: Sequence[int], found: Recurrence | None, image: Tensor) -> Recurrence:
        """Take the outcome of this frame's recurrence for the next frame, and return it in terms of all queries.

        started: what `start` returned. found: the recurrence over these queries; None if there were none.
        image: (H, W, 3) uint8 RGB. A query that was not started keeps the score it was dropped with.
        """
        if found is None:
            none = torch.zeros((0, *image.shape[:2]), device=image.device)
            return Recurrence((), none, tuple(self._scores), (False,) * len(self._all), ())
        for query, score in zip(started, found.scores, strict=True):
            self._scores[query] = score
        left = tuple(query for query, present in zip(started, found.present, strict=True) if present)
        self._live = left or (self._all if self._keep_best else ())
        return Recurrence(
            kept=tuple(started[i] for i in found.kept),
            proposals=found.proposals,
            scores=tuple(self._scores),
            present=tuple(query in left for query in self._all),
            steps=tuple(step.among(started) for step in found.steps),
        )
