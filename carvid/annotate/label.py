"""Labelling one video into a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from carvid.engines import EngineModel, run_session
from carvid.motion.keyframes import open_session
from carvid.store.staging import StagingWriter
from carvid.store.task import Outcome, Task
from carvid.stream import open_frames
from carvid.stream.identity import identify_source


@dataclass(frozen=True)
class StreamOptions:
    """How each video is opened; see `carvid.stream.open_frames`."""

    reader: str = "pyav"
    every: int = 1
    strict: bool = False


def label_video(
    task: Task,
    model: EngineModel,
    stream: StreamOptions,
    staged: Path,
    progress: Callable[[int, int | None], None],
) -> Outcome:
    """Segment every frame of a video and write the rows to `staged`; if anything is raised, there is no such file.

    progress: called after each step with the number of frames written and the number expected.
    Raises InputError if the source cannot be read, UsageError for queries or a range that cannot be used, and
    OutputError if `staged` cannot be written.
    """
    identity = identify_source(Path(task.source))
    progress(0, None)
    with (
        closing(open_session(model, task.queries)) as session,
        open_frames(
            task.source,
            reader=stream.reader,
            start_frame=task.start_frame,
            stop_frame=task.stop_frame,
            every=stream.every,
            strict=stream.strict,
        ) as frames,
    ):
        expected = frames.info.frames_expected
        progress(0, expected)
        with StagingWriter(staged, task.video_id, task.query_ids, model.recipe.eta) as writer:
            for result in run_session(session, frames):
                writer.write(result)
                progress(writer.frame_count, expected)
        rate = frames.info.frame_rate
        return Outcome(
            sha256=identity["sha256"],
            size_bytes=identity["size_bytes"],
            width=frames.info.width,
            height=frames.info.height,
            frame_rate=None if rate is None else f"{rate.numerator}/{rate.denominator}",
            frame_count=writer.frame_count,
            damage=[asdict(stretch) for stretch in frames.damage],
        )
