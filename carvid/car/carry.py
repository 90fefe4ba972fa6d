"""The query set carried from frame to frame: what was dropped stays out until it is readmitted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from carvid.car.recurrence import Recurrence
from carvid.recipe.refinement import CarryOptions

# Frames are compared at this size, where camera shake and small motion are gone.
THUMBNAIL = (9, 16)


class Carry:
    """The queries that a frame starts with, for the frames of one video in their order.

    CaR starts every frame with all queries. Started with the survivors of the frame before, a frame in which nothing
    is dropped takes one recurrent step; what it cannot do is notice a query that appears between readmissions.
    """

    def __init__(self, options: CarryOptions, queries: int, keep_best: bool = False) -> None:
        """keep_best: where nothing passes, the best query's mask is kept; then the next frame starts with all, since
        alone that query would always pass."""
        self._options, self._all, self._keep_best = options, tuple(range(queries)), keep_best
        self._live = self._all
        self._scores = [0.0] * queries
        self._frames = 0
        self._thumbnail: Tensor | None = None

    def start(self, image: Tensor) -> tuple[int, ...]:
        """The queries to start with, ascending; none where none was left. image: (H, W, 3) uint8 RGB."""
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
        """Carry on what the recurrence over `started` left, None where that was empty.

        Returns it in terms of all queries; one that was not asked keeps the score it was dropped with.
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
