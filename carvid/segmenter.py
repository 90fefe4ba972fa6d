"""VideoSegmenter: a model and a session in one, for short Python programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.engines import run_session
from carvid.frame import Frame
from carvid.loading import load_model
from carvid.recipe import load_recipe
from carvid.recipe.recipe import key_distance
from carvid.result import FrameResult
from carvid.session import Session, numbered
from carvid.video_session import open_session
from carvid.wording import checked_queries


class VideoSegmenter(Session):
    """A session that loads its own model. Each call of `run` is a new video; all frames given to `step` are one."""

    @classmethod
    def from_pretrained(
        cls,
        model: str | PathLike[str] | None = None,
        *,
        queries: Sequence[str],
        preset: str | None = None,
        **options: Any,
    ) -> VideoSegmenter:
        """Load the weights and embed the texts.

        model: the CLIPs of f and g: a name (`carvid models` lists them), a repository, a folder or a file; None for
        the preset's.
        queries: 1 to 255 texts; a query's place in the list, from 1, is its label.
        preset: a name or the path of a .yaml file; None for the model's own preset or, if it has none, `default`.
        options: fields of `carvid.recipe.Recipe`, such as `theta=0.2`, `device="cpu"`, `sam="sam-vit-b"` and
        `sam_points="guided"`; None leaves the preset's value.
        Raises UsageError for options and queries that cannot be used, WeightsError for weights that cannot be loaded.
        """
        recipe = load_recipe(preset, model=model, **options)
        checked_queries(queries)
        return cls(load_model(recipe), queries)

    def run(
        self, frames: Iterable[Frame | NDArray[np.uint8]], *, keyframes: int | str | None = None
    ) -> Iterator[FrameResult]:
        """Segment the frames of a video, in order; one result per frame.

        frames: `Frame`s, or images (H, W, 3) uint8 RGB, which are numbered from 0.
        keyframes: run the models on every K-th frame and carry the masks to those between, or "auto"; None for the
            recipe's. Unless it is 1, and where the words of the queries choose, a frame's result waits for later
            frames, except with the recipe's `causal`.
        Raises UsageError for an image of another shape or dtype.
        """
        self.restart()
        recipe = self.recipe
        if keyframes is not None:
            recipe = replace(recipe, keyframes=key_distance(keyframes))
        yield from run_session(open_session(self._asking, self.queries, recipe), numbered(frames))

    def _asking(self, queries: Sequence[str]) -> Session:
        """This session or, for other queries, one that adds to its seconds."""
        if tuple(queries) == self.queries:
            return self
        other = self.model.session(queries)
        other.stopwatch = self.stopwatch
        return other

    def with_queries(self, queries: Sequence[str]) -> VideoSegmenter:
        """A new segmenter with other queries, sharing the model. Raises UsageError for queries that cannot be used."""
        return VideoSegmenter(self.model, queries)
