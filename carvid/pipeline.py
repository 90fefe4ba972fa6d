"""The one path from a stream through a session into the sinks."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from carvid.engines import EngineSession, gather
from carvid.errors import InputError, OutputError
from carvid.frame import Frame
from carvid.interrupt import Abandoned, Interrupt, first_interrupt
from carvid.made_with import machine
from carvid.media.locks import FolderLock
from carvid.result import FrameResult
from carvid.sinks import MaskSink, OverlaySink, ResultsSink
from carvid.sinks.output import MANIFEST, MASKS, OVERLAY, RESULTS, check_output, prepare_output
from carvid.sinks.run_record import RunManifest, now, write_manifest
from carvid.stream.identity import identify_stream
from carvid.stream.source import Damage, StreamInfo
from carvid.write_behind import WriteBehind

# Frames that may wait to be written: enough to absorb one slow write, few enough to hold in memory.
WAITING = 2
# A run should end within 5 s of Ctrl-C; the other 3 s are for torch's current operation and for closing the files.
GRACE_SECONDS = 2.0
STAGES = ("decode", "segment", "wait", "write")

Writer = WriteBehind[tuple[Frame, FrameResult]]


class Stream(Protocol):
    """Frames in display order, and what is known of their source; `damage` is complete once all frames are read."""

    @property
    def info(self) -> StreamInfo: ...
    @property
    def damage(self) -> Sequence[Damage]: ...
    def __iter__(self) -> Iterator[Frame]: ...


class RunProgress(Protocol):
    """Receives the progress of a run; `advance` is called on the writing thread."""

    def start(self, total: int | None) -> None:
        """Called before the first frame; `total` is the expected number of frames, None when unknown."""
        ...

    def observe(self, session: EngineSession) -> None:
        """Called whenever the session has taken frames, on the thread that runs it."""
        ...

    def advance(self, frame: Frame, result: FrameResult) -> None:
        """Called after each frame is written."""
        ...

    def finish(self) -> None:
        """Called after the last frame, and also when the run fails."""
        ...


@dataclass(frozen=True)
class OutputOptions:
    """What a run writes.

    separate: one mask per frame and object instead of one label map per frame.
    overlay: write the overlay video.
    overwrite: allow an output folder that is not empty, replacing what carvid wrote there.
    """

    separate: bool = False
    overlay: bool = True
    overwrite: bool = False


@dataclass(frozen=True)
class RunSummary:
    """The outcome of a run.

    frames: how many frames were written.
    seconds: wall-clock seconds by stage: decode (waiting for frames), segment, segment/<stage> for the session's own
        stages, wait (for the writer, which is at most WAITING frames behind, and for it to finish), write (on its own
        thread, at the same time as the others), and total.
    queries: the query set, in the caller's order.
    present_share: per query, the share of frames it was present in, in [0, 1]; zeros when there are no frames.
    totals: the session's own counts; see `carvid.engines.EngineSession`.
    outputs: the paths written, by kind: masks, results, manifest and, if any, overlay.
    damage: stretches of the source that could not be decoded: first_frame, last_frame, reason.
    interrupted: whether Ctrl-C stopped it; the last frame is written whole.
    complete: whether every frame that can be decoded was written.
    """

    frames: int
    seconds: Mapping[str, float]
    queries: tuple[str, ...]
    present_share: tuple[float, ...]
    totals: Mapping[str, Any]
    outputs: Mapping[str, Path]
    damage: tuple[Mapping[str, Any], ...]
    interrupted: bool
    complete: bool

    @property
    def damaged(self) -> bool:
        """Whether frames of the source are missing from the output."""
        return bool(self.damage)

    def to_json(self) -> dict[str, Any]:
        """The summary in types JSON holds; queries are a list, because duplicates would collide as keys."""
        return {
            "frames": self.frames,
            "complete": self.complete,
            "interrupted": self.interrupted,
            "queries": [
                {"query": query, "present_share": share}
                for query, share in zip(self.queries, self.present_share, strict=True)
            ],
            "totals": dict(self.totals),
            "damage": [dict(stretch) for stretch in self.damage],
            "seconds": dict(self.seconds),
            "outputs": {kind: str(path) for kind, path in self.outputs.items()},
        }


def run_job(
    stream: Stream,
    session: EngineSession,
    out: Path,
    *,
    output: OutputOptions = OutputOptions(),
    command: Sequence[str] = (),
    stream_options: Mapping[str, Any] | None = None,
    progress: RunProgress | None = None,
) -> RunSummary:
    """Segment every frame of a stream and write what `output` asks for into the folder `out`.

    run.json is written before the first frame, marked incomplete, and replaced at the end. The first Ctrl-C
    gives the current frames GRACE_SECONDS to finish and closes the files; a second one raises
    `KeyboardInterrupt` at once. When an error is raised, the masks and result lines of earlier frames stay, the
    overlay is removed, and run.json records the error.

    Args:
        stream: read once, to its end; the caller closes it.
        session: segments the frames, `session.batch` at a time.
        out: created if missing, and locked until the run has ended; `carvid.sinks.output.check_output` says what is
            refused.
        command: the command line, for run.json.
        stream_options: how the stream was opened, apart from its range of frames, for run.json.
        progress: receives the progress of the run.

    Raises:
        UsageError: there are more queries than the requested outputs can hold.
        InputError: the stream gives no frame, or raises this itself.
        OutputError: something cannot be written.
    """
    queries, selection = tuple(session.queries), stream.info.selection
    # Built before the folder is touched: a sink that cannot do what is asked raises here.
    masks = MaskSink(out / MASKS, separate=output.separate, n_queries=len(queries))
    lines = ResultsSink(out / RESULTS, queries, masks)
    sinks: list[MaskSink | OverlaySink | ResultsSink] = [masks, lines]
    if output.overlay:
        overlay = OverlaySink(
            out / OVERLAY,
            queries,
            frame_rate=stream.info.frame_rate,
            every=selection.every,
            pixel_aspect=stream.info.pixel_aspect,
        )
        sinks.append(overlay)
    outputs = {"masks": out / MASKS, "results": out / RESULTS, "manifest": out / MANIFEST}
    manifest = RunManifest(
        command=tuple(command),
        source=_describe_source(stream.info),
        segmenter=session.describe(),
        options={
            **(stream_options or {}),
            "start_frame": selection.start,
            "stop_frame": selection.stop,
            "every": selection.every,
            **dataclasses.asdict(output),
        },
        queries=queries,
        outputs=tuple(path.name for path in outputs.values()),
        machine={**machine(), "batch": session.batch},
    )
    # Again once the folder is locked; this one leaves a folder that is refused as it is.
    check_output(out, stream.info.path, overwrite=output.overwrite)
    with FolderLock(out), first_interrupt(GRACE_SECONDS) as interrupt:
        prepare_output(out, stream.info.path, overwrite=output.overwrite)
        write_manifest(out / MANIFEST, manifest)
        tally = _Tally(queries, dict(session.seconds))
        try:
            with ExitStack() as stack:
                for sink in sinks:
                    stack.enter_context(sink)
                if progress is not None:
                    stack.callback(progress.finish)
                    progress.start(stream.info.frames_expected)
                writer = stack.enter_context(tally.writer(sinks, progress))
                taken = deque[Frame]()
                exhausted = _pump(stream, session, writer, tally, interrupt, progress, taken)
                if not exhausted:
                    # What is done is not lost; nothing more is run for it.
                    for result in session.settle():
                        # One that was cut short on its way here is not given again.
                        while taken[0].index != result.index:
                            taken.popleft()
                        writer.put((taken.popleft(), result))
                with tally.clock("wait"):
                    writer.flush()
                if exhausted and tally.frames == 0:
                    raise InputError(
                        f"{stream.info.name} gave no frame to segment; check the range of frames"
                    )
        except BaseException as error:
            # On a full disk this fails too; the first run.json, marked incomplete, then stays.
            with suppress(OutputError):
                write_manifest(
                    out / MANIFEST,
                    dataclasses.replace(
                        tally.fill(manifest, stream, session, lines),
                        interrupted=isinstance(error, KeyboardInterrupt),
                        error=f"{type(error).__name__}: {error}",
                    ),
                )
            raise
        if output.overlay and tally.frames:
            outputs["overlay"] = out / OVERLAY
        manifest = dataclasses.replace(
            tally.fill(manifest, stream, session, lines),
            outputs=tuple(path.name for path in outputs.values()),
            complete=exhausted,
            interrupted=not exhausted,
        )
        write_manifest(out / MANIFEST, manifest)
    return RunSummary(
        frames=tally.frames,
        seconds=manifest.seconds,
        queries=queries,
        present_share=manifest.present_share,
        totals=manifest.totals,
        outputs=outputs,
        damage=manifest.damage,
        interrupted=manifest.interrupted,
        complete=manifest.complete,
    )


@dataclass
class _Tally:
    """What is counted over the frames; its size does not depend on the video's length."""

    queries: tuple[str, ...]
    session_seconds_before: Mapping[str, float]
    frames: int = 0
    present: NDArray[np.int64] = field(init=False)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.present = np.zeros(len(self.queries), np.int64)

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def writer(
        self, sinks: Sequence[MaskSink | OverlaySink | ResultsSink], progress: RunProgress | None
    ) -> Writer:
        """Writes frames and their results into all sinks, and counts them."""

        def write(done: tuple[Frame, FrameResult]) -> None:
            frame, result = done
            with self.clock("write"):
                for sink in sinks:
                    sink.write(frame, result)
            self.frames += 1
            self.present += np.array([query.present for query in result.queries], np.int64)
            if progress is not None:
                progress.advance(frame, result)

        return WriteBehind(write, WAITING)

    def fill(
        self, manifest: RunManifest, stream: Stream, session: EngineSession, lines: ResultsSink
    ) -> RunManifest:
        own = {
            f"segment/{stage}": spent - self.session_seconds_before.get(stage, 0.0)
            for stage, spent in session.seconds.items()
        }
        seconds = {**self.seconds, **own, "total": time.perf_counter() - self.started}
        return dataclasses.replace(
            manifest,
            finished=now(),
            frames=self.frames,
            present_share=tuple((self.present / max(1, self.frames)).tolist()),
            damage=tuple(dataclasses.asdict(stretch) for stretch in stream.damage),
            totals=dict(session.totals),
            results_sha256=lines.sha256,
            seconds={stage: round(spent, 6) for stage, spent in seconds.items()},
        )


def _pump(
    stream: Stream,
    session: EngineSession,
    writer: Writer,
    tally: _Tally,
    interrupt: Interrupt,
    progress: RunProgress | None,
    taken: deque[Frame],
) -> bool:
    """Segment frames until the stream ends (returns True) or an interrupt is noted (False).

    taken: gets each frame, until its result is written.
    """
    frames = iter(stream)
    more = True
    while not interrupt.requested:
        try:
            with tally.clock("decode"), interrupt.abandonable():
                some, error = gather(frames, session.batch, lambda: interrupt.requested)
            # No work was done on these frames yet, so an interrupt while waiting for them stops at once.
            if interrupt.requested:
                return False
            taken += some
            more = bool(some) and error is None
            results = session.steps(some)
            if not more:
                results = chain(results, session.finish())
            while True:
                with tally.clock("segment"), interrupt.abandonable():
                    result = next(results, None)
                if result is None:
                    break
                with tally.clock("wait"):
                    writer.put((taken.popleft(), result))
                del result
            if progress is not None:
                progress.observe(session)
        except Abandoned:
            return False
        if error is not None:
            raise error
        if not more:
            return True
        del some, results
    return False


def _describe_source(info: StreamInfo) -> dict[str, Any]:
    return {
        "path": None if info.path is None else str(info.path.absolute()),
        **identify_stream(info),
        "kind": info.kind,
        "frame_rate": info.frame_rate,
        "time_base": info.time_base,
        "width": info.width,
        "height": info.height,
        "pixel_aspect": info.pixel_aspect,
    }
