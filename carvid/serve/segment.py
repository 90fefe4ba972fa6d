"""The one function behind every way of asking: an image or the frames of a video, and queries, on the lent model."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from carvid.engines import EngineSession, gather
from carvid.frame import Frame
from carvid.result import FrameResult
from carvid.serve.lent_model import LentModel
from carvid.video_session import open_session


class ImageSegmenter:
    """Segments images, and the frames of videos, on a model that others use too; any thread may call it.

    The model remembers the texts it has embedded, so a query set that comes again costs nothing.
    """

    def __init__(self, lent: LentModel) -> None:
        self.lent = lent

    def segment(
        self, image: NDArray[np.uint8], queries: Sequence[str], theta: float | None = None
    ) -> FrameResult:
        """The objects of one image: a video of one frame.

        image: (H, W, 3) uint8 RGB, upright. theta: the lowest score at which a query is there; None for the recipe's.
        Raises UsageError for queries, a theta or an image that cannot be used, WeightsError for weights that cannot be
        loaded.
        """
        frame = Frame(index=0, pts_seconds=None, image=image, name="image")
        (result,) = self.run([frame], queries, theta)
        return result

    def run(
        self, frames: Iterable[Frame], queries: Sequence[str], theta: float | None = None
    ) -> Generator[FrameResult, None, None]:
        """The results of a video's frames, in order. The model is held while it runs, not while frames are read.

        Raises as `segment` does, and what `frames` raises, after the earlier results.
        """
        model, turn = self.lent.get(theta), self.lent.turn
        with turn:
            session = open_session(model.session, queries, model.recipe)
        try:
            yield from _in_turns(session, iter(frames), turn)
        finally:
            session.close()


def _in_turns(session: EngineSession, frames: Iterator[Frame], turn: Lock) -> Iterator[FrameResult]:
    """As `carvid.engines.run_session`; others may have their turn between two results."""
    while True:
        some, error = gather(frames, session.batch)
        yield from _one_by_one(session.steps(some), turn)
        if error is not None or not some:
            break
    yield from _one_by_one(session.finish(), turn)
    if error is not None:
        raise error


def _one_by_one(results: Iterator[FrameResult], turn: Lock) -> Iterator[FrameResult]:
    while True:
        with turn:
            result = next(results, None)
        if result is None:
            return
        yield result
