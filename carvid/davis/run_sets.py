"""Ref-DAVIS 2017 run: every expression set of every video, segmented in one pass over the frames.

A video of a set is finished when its record lies in `records/anno_<set>/<video>.json`, written after its last
mask; a folder of masks without a record is work cut short, and is done again.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from carvid.davis.dataset import ReferringDataset, ReferringVideo
from carvid.davis.predictions import SETS_FOLDER, set_folder_name
from carvid.errors import OutputError
from carvid.frame import Frame
from carvid.media.json_text import load_json
from carvid.media.palette import write_label_png
from carvid.media.whole_file import output_errors, write_whole
from carvid.model import Model
from carvid.motion.keyframes import on_key_frames
from carvid.paths import exists
from carvid.recipe.record import differences
from carvid.result import FrameResult
from carvid.session import SeenFrames, Session
from carvid.stream.image_file import read_image

RUN_FILE = "refdavis.json"
RECORDS = "records"


class RefDavisProgress(Protocol):
    """Told how far a run is, over all videos together."""

    def start(self, total: int | None) -> None: ...
    def begin(self, video: str, number: int, count: int) -> None: ...
    def advance(self, frame: Frame, result: FrameResult) -> None: ...
    def finish(self) -> None: ...


@dataclass(frozen=True)
class Ran:
    """What a run came to: videos segmented now, and videos that an earlier run had finished."""

    segmented: int
    finished_before: int
    frames: int


def run_refdavis(
    dataset: ReferringDataset,
    model: Model,
    out: Path,
    *,
    overwrite: bool = False,
    progress: RefDavisProgress | None = None,
) -> Ran:
    """Write `out/valid/anno_<set>/<video>/<frame>.png`, label = object id, for every set of the dataset.

    The trunk's features and the CRF's lattice of a frame serve all sets. Raises OutputError when `out` holds
    a run of other weights or settings, unless `overwrite`, which removes that run first. The caller holds a
    `carvid.media.locks.FolderLock` on `out`, for as long as it needs the masks.
    """
    _claim(out, model.describe(), overwrite)
    todo = [(video, _sets_to_do(dataset, video, out)) for video in dataset.videos]
    open_videos = [(video, sets) for video, sets in todo if sets]
    if progress is not None:
        progress.start(sum(len(video.frame_paths) for video, _ in open_videos))
    frames = 0
    try:
        for number, (video, sets) in enumerate(open_videos, start=1):
            if progress is not None:
                progress.begin(video.name, number, len(open_videos))
            _run_video(video, sets, model, out, progress)
            frames += len(video.frame_paths)
    finally:
        if progress is not None:
            progress.finish()
    return Ran(len(open_videos), len(dataset.videos) - len(open_videos), frames)


def _sets_to_do(dataset: ReferringDataset, video: ReferringVideo, out: Path) -> tuple[int, ...]:
    return tuple(i for i in dataset.sets if _record(out, i, video.name, video.expressions[i]) is None)


def _record_path(out: Path, index: int, video: str) -> Path:
    return out / RECORDS / set_folder_name(index) / f"{video}.json"


def _record(out: Path, index: int, video: str, expressions: Sequence[str]) -> dict[str, Any] | None:
    """The record of a finished video; None where there is none, or one of other expressions."""
    path = _record_path(out, index, video)
    try:
        record = load_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({error}); remove it to segment {video} again") from error
    if not isinstance(record, dict):
        raise OutputError(f"{path} is no record; remove it to segment {video} again")
    return record if record.get("expressions") == list(expressions) else None


def _run_video(
    video: ReferringVideo,
    sets: Sequence[int],
    model: Model,
    out: Path,
    progress: RefDavisProgress | None,
) -> None:
    """Segment one video with the expressions of each of the sets."""
    folders = {i: out / SETS_FOLDER / set_folder_name(i) / video.name for i in sets}
    for folder in folders.values():
        with output_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
    present = {i: [0] * len(video.expressions[i]) for i in sets}

    def keep(i: int, result: FrameResult) -> None:
        write_label_png(folders[i] / f"{result.name}.png", result.query_map)
        present[i] = [count + query.present for count, query in zip(present[i], result.queries, strict=True)]
        # Every set gives each frame once; the last set's turn comes last.
        if progress is not None and i == sets[-1]:
            progress.advance(taken.popleft(), result)

    taken: deque[Frame] = deque()
    sights = _Sights(model)
    with ExitStack() as stack:
        sessions = {}
        for i in sets:
            session = _SharingSession(model, video.expressions[i], sights)
            keyed = on_key_frames(session, model.recipe)
            sessions[i] = stack.enter_context(closing(keyed))
        for number, path in enumerate(video.frame_paths):
            frame = Frame(index=number, pts_seconds=None, image=read_image(path), name=path.stem)
            taken.append(frame)
            for i, one in sessions.items():
                for result in one.steps([frame]):
                    keep(i, result)
        for i, one in sessions.items():
            for result in one.finish():
                keep(i, result)
    for i in sets:
        record = {
            "video": video.name,
            "set": i,
            "frames": len(video.frame_paths),
            "expressions": list(video.expressions[i]),
            "present_frames": present[i],
        }
        path = _record_path(out, i, video.name)
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(record, indent=1).encode())


class _Sights:
    """f's features of the last frames looked at: each set's session asks for those of the same frames in turn."""

    # With key frames, a cut makes two frames due at once: the last of a shot and the first of the next.
    _KEPT = 2

    def __init__(self, model: Model) -> None:
        self._model = model
        self._seen: deque[tuple[Frame, SeenFrames]] = deque(maxlen=self._KEPT)

    def of(self, frame: Frame) -> SeenFrames:
        for known, seen in self._seen:
            if known is frame:
                return seen
        seen = self._model.see([frame])
        self._seen.append((frame, seen))
        return seen


class _SharingSession(Session):
    """A session that takes f's features of a frame from what all sets of a video share."""

    def __init__(self, model: Model, queries: Sequence[str], sights: _Sights) -> None:
        super().__init__(model, queries)
        self._sights = sights

    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            yield self.segment(self._sights.of(frame))


def _claim(out: Path, description: Mapping[str, Any], overwrite: bool) -> None:
    """Make `out` a run of these weights and settings, or refuse to mix them with those it holds."""
    path = out / RUN_FILE
    if exists(path, OutputError):
        try:
            before = load_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{path} cannot be read ({error}); choose another output folder") from error
        changed = differences(before, description)
        if not changed:
            return
        if not overwrite:
            raise OutputError(
                f"{out} holds a run with other weights or settings ({'; '.join(changed)}); "
                "choose another output folder, or give --overwrite to remove that run"
            )
        with output_errors(out):
            for folder in (out / SETS_FOLDER, out / RECORDS):
                shutil.rmtree(folder, ignore_errors=True)
    elif exists(out / SETS_FOLDER, OutputError):
        raise OutputError(
            f"{out / SETS_FOLDER} is there without a {RUN_FILE} of carvid's; choose another folder"
        )
    with output_errors(path):
        out.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(description, indent=1).encode())
