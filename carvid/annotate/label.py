"""Labelling one video, or a piece of one, into a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carvid.engines import EngineModel, run_session
from carvid.errors import InputError, UsageError
from carvid.paths import exists, is_dir, is_file
from carvid.store.cut import Cut
from carvid.store.staging import StagingWriter
from carvid.store.task import Outcome, Task
from carvid.stream import Damage, NoFrameError, Selection, open_frames
from carvid.stream.identity import identify_source, source_size
from carvid.video_session import open_session
from carvid.workers.job import Tell


@dataclass(frozen=True)
class StreamOptions:
    """How each video is opened; see `carvid.stream.open_frames`.

    piece: how many labelled frames of a video are one task; None: all.
    """

    reader: str = "pyav"
    every: int = 1
    strict: bool = False
    piece: int | None = None

    def __post_init__(self) -> None:
        if self.piece is not None and self.piece < 1:
            raise UsageError(f"piece is {self.piece}; expected at least 1 frame")


class Labelling:
    """The job of `carvid annotate`; see `carvid.workers.job.Job`."""

    def __init__(self, **stream: Any) -> None:
        self._stream = StreamOptions(**stream)

    def describe(self, model: EngineModel) -> dict[str, Any]:
        """Everything that is needed to make the same labels again, as plain data."""
        return {**model.describe(), "stream": asdict(self._stream)}

    def work(
        self, task: Mapping[str, Any], staged: Path, model: EngineModel, tell: Tell
    ) -> Mapping[str, Any]:
        """`label_video`, with the task and its outcome as plain data."""
        return asdict(label_video(Task.from_json(task), model, self._stream, staged, tell))


def label_video(
    task: Task,
    model: EngineModel,
    stream: StreamOptions,
    staged: Path,
    progress: Tell,
) -> Outcome:
    """Segment every frame of a video and write the rows to `staged`; if anything is raised, there is no such file.

    Of a video in pieces, those of the task's piece, which may have none.

    progress: called after each step with the number of frames written and the number expected of the video.
    Raises InputError if the source cannot be read, UsageError for queries or a range that cannot be used, and for
    pieces of what can be read only once, and OutputError if `staged` cannot be written.
    """
    whole = Selection(task.start_frame, task.stop_frame, stream.every)
    part = whole
    if task.piece is not None and stream.piece is not None:
        part = Cut(stream.piece).part(whole, task.piece)
    size_bytes, sha256 = _identity(task)
    progress(0, None)
    with closing(open_session(model.session, task.queries, model.recipe)) as session:
        try:
            frames = open_frames(
                task.source,
                reader=stream.reader,
                start_frame=part.start,
                stop_frame=part.stop,
                every=part.every,
                strict=stream.strict,
            )
        except NoFrameError as error:
            if task.piece is None:
                raise
            StagingWriter(staged, task.video_id, task.query_ids, model.recipe.eta).close()
            return Outcome(sha256, size_bytes, None, None, None, 0, _plain(error.damage), str(error))
        with frames:
            claimed = frames.info.frames_claimed
            expected = None if claimed is None else whole.count(claimed)
            progress(0, expected)
            with StagingWriter(staged, task.video_id, task.query_ids, model.recipe.eta) as writer:
                for result in run_session(session, frames):
                    writer.write(result)
                    progress(writer.frame_count, expected)
            rate = frames.info.frame_rate
            return Outcome(
                sha256=sha256,
                size_bytes=size_bytes,
                width=frames.info.width,
                height=frames.info.height,
                frame_rate=None if rate is None else f"{rate.numerator}/{rate.denominator}",
                frame_count=writer.frame_count,
                damage=_plain(frames.damage),
            )


def check_can_be_cut(source: Path) -> None:
    """Raise UsageError for a source that is there and can be read only once, such as a pipe."""
    if exists(source, InputError) and not (is_file(source, InputError) or is_dir(source, InputError)):
        raise UsageError(
            f"{source} can be read only once, as a pipe can, so it cannot be labelled in pieces; leave out --piece"
        )


def _identity(task: Task) -> tuple[int | None, str | None]:
    """Size and hash of the source. Of the pieces, the first alone makes the hash, which takes reading all of it."""
    source = Path(task.source)
    if task.piece is not None:
        check_can_be_cut(source)
        if task.piece:
            return source_size(source), None
    identity = identify_source(source)
    return identity["size_bytes"], identity["sha256"]


def _plain(damage: Sequence[Damage]) -> list[dict[str, Any]]:
    return [asdict(stretch) for stretch in damage]
