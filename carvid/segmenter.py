"""VideoSegmenter: a model and a session in one, the short way from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.frame import Frame
from carvid.loading import load_model
from carvid.recipe import load_recipe
from carvid.result import FrameResult
from carvid.session import Session
from carvid.wording import checked_queries


class VideoSegmenter(Session):
    """A session that loads its own model. Every `run` is a video of its own; the frames given to `step` are one."""

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

        model: names f and g (`carvid models` lists names); None for the preset's.
        preset: a name or a .yaml file; None for the model's own, or else `default`.
        options: fields of `carvid.recipe.Recipe`, such as `theta=0.2`, `device="cpu"`, `sam="sam-vit-b"` and
        `sam_points="guided"`; None leaves one as the preset has it.
        Raises UsageError for options and queries, WeightsError for weights.
        """
        recipe = load_recipe(preset, model=model, **options)
        checked_queries(queries)
        return cls(load_model(recipe), queries)

    def run(self, frames: Iterable[Frame | NDArray[np.uint8]]) -> Iterator[FrameResult]:
        """Segment the frames of a video in their order. Bare images are numbered from 0."""
        self.restart()
        yield from super().run(frames)

    def with_queries(self, queries: Sequence[str]) -> VideoSegmenter:
        """Another query set on the same model."""
        return VideoSegmenter(self.model, queries)
