"""Running samples: every query set of an image, or of a video's frames, in one pass over them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from carvid.engines import EngineModel, EngineSession
from carvid.errors import CarvidError, InputError
from carvid.evaluate.contract import Asked, Sample
from carvid.evaluate.sharing import Sessions
from carvid.frame import Frame
from carvid.result import FrameResult
from carvid.stream.image_file import UNREADABLE, read_image
from carvid.video_session import open_session
from carvid.words import read

#: A frame's result for each query set, by `Asked.name`.
Found = dict[str, FrameResult]


class SampleRunner:
    """Runs samples on one model. Query sets that come again sample after sample, as class names do, are embedded once.

    Memory holds the images of one batch, or the frames that key frames or words hold back. Where words choose, each
    image has a session of its own.
    """

    def __init__(self, model: EngineModel) -> None:
        self._model = model
        self._sessions = Sessions(model)
        self._asked: tuple[Asked, ...] = ()
        self._open: dict[str, EngineSession] = {}

    def run(
        self, samples: Sequence[Sample], failed: Callable[[Sample, CarvidError], None]
    ) -> Iterator[tuple[Sample, Frame, Found]]:
        """The frames of samples, in order, each with the result of every query set.

        Images of one size that are asked alike go through the models together, as many as the recipe's `batch`.
        failed: told of each sample that cannot be run, in part or as a whole; the others are run all the same.
        """
        for (is_image, asked, _), alike in groupby(samples, _kind):
            # Where words choose, an image is a video of one frame, whose things are known once it ends.
            if is_image and not self._chooses(asked):
                yield from self._images(asked, list(alike), failed)
                continue
            for sample in alike:
                try:
                    yield from self._video(sample)
                except CarvidError as error:
                    failed(sample, error)

    def _chooses(self, asked: tuple[Asked, ...]) -> bool:
        return self._model.recipe.words and any(read(query).clues for one in asked for query in one.queries)

    def _images(
        self, asked: tuple[Asked, ...], samples: list[Sample], failed: Callable[[Sample, CarvidError], None]
    ) -> Iterator[tuple[Sample, Frame, Found]]:
        at_once = self._model.recipe.batch or 1
        for start in range(0, len(samples), at_once):
            read: list[tuple[Sample, Frame]] = []
            for sample in samples[start : start + at_once]:
                try:
                    read.append((sample, _frame(sample, 0)))
                except InputError as error:
                    failed(sample, error)
            if not read:
                continue
            frames = [frame for _, frame in read]
            try:
                sessions = self._for(asked)
                by_set = {name: list(session.steps(frames)) for name, session in sessions.items()}
            except CarvidError as error:
                for sample, _ in read:
                    failed(sample, error)
                continue
            for i, (sample, frame) in enumerate(read):
                yield sample, frame, {name: results[i] for name, results in by_set.items()}

    def _for(self, asked: tuple[Asked, ...]) -> dict[str, EngineSession]:
        if asked != self._asked:
            self._asked = ()
            self._open = {one.name: self._sessions.open(one.queries, one.settings) for one in asked}
            self._asked = asked
        return self._open

    def _video(self, sample: Sample) -> Iterator[tuple[Sample, Frame, Found]]:
        waiting: deque[Frame] = deque()
        found: dict[str, deque[FrameResult]] = {one.name: deque() for one in sample.asked}

        def complete() -> Iterator[tuple[Sample, Frame, Found]]:
            while waiting and all(found.values()):
                yield (
                    sample,
                    waiting.popleft(),
                    {name: results.popleft() for name, results in found.items()},
                )

        with ExitStack() as stack:
            sessions = {
                one.name: stack.enter_context(
                    closing(
                        open_session(
                            partial(self._sessions.open, settings=one.settings),
                            one.queries,
                            self._model.recipe,
                        )
                    )
                )
                for one in sample.asked
            }
            for number in range(len(sample.frames)):
                frame = _frame(sample, number)
                waiting.append(frame)
                for name, session in sessions.items():
                    found[name].extend(map(_light, session.steps([frame])))
                yield from complete()
            for name, session in sessions.items():
                found[name].extend(map(_light, session.finish()))
                yield from complete()


def _light(result: FrameResult) -> FrameResult:
    """The result without what it may hold on the device, as it may wait for those of other query sets."""
    if result.evidence is None:
        return result
    return replace(result, evidence=replace(result.evidence, read_proposals=None, read_segments=None))


def _kind(sample: Sample) -> tuple[bool, tuple[Asked, ...], tuple[int, int]]:
    """What images that go through the models together have in common."""
    return len(sample.frames) == 1, sample.asked, sample.size


def _frame(sample: Sample, number: int) -> Frame:
    path = Path(sample.frames[number])
    try:
        image = read_image(path, upright=sample.upright)
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as an image: {error}") from error
    if image.shape[:2] != sample.size:
        height, width = sample.size
        raise InputError(
            f"{path} is {image.shape[1]}x{image.shape[0]} px; expected {width}x{height}, as {sample.name} is"
        )
    return Frame(index=number, pts_seconds=None, image=image, name=path.stem)
