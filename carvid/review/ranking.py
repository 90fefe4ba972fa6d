"""Ranks the labelled frames of a dataset, the most suspicious first, and writes review.csv."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from carvid.errors import InputError, OutputError, UsageError
from carvid.media.rle import checked_runs
from carvid.media.whole_file import Replacement, output_errors
from carvid.review.suspicion import LabelledMask, Suspicion, suspicion
from carvid.store.checks import NUMBER
from carvid.store.database import Dataset, open_dataset
from carvid.store.rows import Annotation, FrameRow, Video, VideoObject

REVIEW = "review.csv"
"""The file's name in the dataset folder."""

COLUMNS = (
    "rank",
    "total",
    *(field.name for field in fields(Suspicion)),
    "video_id",
    "path",
    "frame_index",
    "name",
    "pts_seconds",
    "query",
    "score",
    "present",
    "area_px",
)

DIGITS = 6
"""Decimals of every number that is not whole."""


@dataclass(frozen=True)
class ReviewSummary:
    """What was ranked and written.

    path: of the CSV file.
    frames: how many were ranked.
    rows: how many were written.
    skipped: a sentence for each video that was not ranked because it is not done.
    """

    path: str
    frames: int
    rows: int
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Frame:
    """A labelled frame. masks: one per object, in their order."""

    row: FrameRow
    masks: tuple[LabelledMask, ...]


def review_dataset(
    dataset: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, top: int | None = None
) -> ReviewSummary:
    """Rank the frames of the videos that are done and write them to a CSV file, the most suspicious first.

    A frame ranks by its most suspicious object, and its row shows that object's values. Ties go by video id, then
    by frame index, so the same database gives the same bytes. A frame of a video without objects is not ranked.

    out: the file; `review.csv` in the dataset folder by default. An earlier one is replaced, whole or not at all.
    top: write this many frames at most; all by default.

    Raises UsageError if `top` is below 1, InputError if there is no dataset or no video in it is done, and
    OutputError if the file cannot be written.
    """
    if top is not None and top < 1:
        raise UsageError(f"top is {top}; it must be at least 1")
    path = Path(dataset) / REVIEW if out is None else Path(out)
    with open_dataset(dataset) as opened:
        videos = tuple(opened.videos())
        done = [video for video in videos if video.is_done]
        skipped = tuple(
            f"video {video.id} ({video.path}) is {video.status}" for video in videos if not video.is_done
        )
        if not done:
            raise InputError(
                f"no video of {dataset} is done ({len(skipped)} are not); run `carvid annotate` to the end"
            )
        frames, rows = _write_ranked(path, opened, done, top)
    return ReviewSummary(str(path), frames, rows, skipped)


def _write_ranked(path: Path, dataset: Dataset, videos: Sequence[Video], top: int | None) -> tuple[int, int]:
    """How many frames were ranked, and how many written."""
    # A temporary database on disk sorts any number of rows in little memory.
    sorter = sqlite3.connect("", isolation_level=None)
    replacement = Replacement(path)
    try:
        sorter.execute("BEGIN")
        sorter.execute("CREATE TABLE rows (total REAL, video INTEGER, frame INTEGER, cells)")
        for video in videos:
            sorter.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", _rows(dataset, video))
        frames = int(sorter.execute("SELECT count(*) FROM rows").fetchone()[0])
        ranked = sorter.execute(
            "SELECT cells FROM rows ORDER BY total DESC, video, frame LIMIT ?", (-1 if top is None else top,)
        )
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacement.temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                rank = 0
                for rank, (cells,) in enumerate(ranked, 1):
                    file.write(f"{rank},{cells}")
        replacement.commit()
    except sqlite3.Error as error:
        raise OutputError(
            f"cannot sort the frames for {path}: {error}; free some space where temporary files go"
        ) from error
    finally:
        replacement.discard()
        sorter.close()
    return frames, rank


@dataclass(frozen=True, eq=False)
class SuspectFrame:
    """A labelled frame: for each object of the video, in their order, its mask and how suspicious that is."""

    row: FrameRow
    masks: tuple[LabelledMask, ...]
    suspicions: tuple[Suspicion, ...]


def suspicions(
    dataset: Dataset, video_id: int, *, between: tuple[int, int] | None = None
) -> Iterator[SuspectFrame]:
    """The labelled frames of a video by index, each compared with those next to it; none of a video without objects.

    between: only the frames from the first index to the last, both included; to these two nothing is next outside.
    """
    theta = float(dataset.setting("settings", "theta", NUMBER))
    objects = tuple(dataset.objects(video_id))
    for before, this, after in _with_neighbours(dataset, video_id, between) if objects else ():
        found = tuple(
            suspicion(
                theta,
                None if before is None else before.masks[i],
                mask,
                None if after is None else after.masks[i],
            )
            for i, mask in enumerate(this.masks)
        )
        yield SuspectFrame(this.row, this.masks, found)


def _rows(dataset: Dataset, video: Video) -> Iterator[tuple[float, int, int, str]]:
    """Per frame: total, video id, frame index, and the row's text from the second cell on."""
    objects = tuple(dataset.objects(video.id))
    for frame in suspicions(dataset, video.id):
        yield _row(video, objects, frame)


def _row(video: Video, objects: Sequence[VideoObject], frame: SuspectFrame) -> tuple[float, int, int, str]:
    # Rounded, so that of objects the file shows as equal the first is taken.
    totals = [round(one.total, DIGITS) for one in frame.suspicions]
    worst = max(range(len(totals)), key=totals.__getitem__)
    mask, row = frame.masks[worst], frame.row
    cells = [
        _decimals(totals[worst]),
        *(_decimals(value) for value in astuple(frame.suspicions[worst])),
        video.id,
        video.path,
        row.frame_index,
        row.name,
        "" if row.pts_seconds is None else _decimals(row.pts_seconds),
        objects[worst].query.text,
        "" if mask.score is None else _decimals(mask.score),
        int(mask.present),
        mask.area_px,
    ]
    return totals[worst], video.id, row.frame_index, _csv_line(cells)


def _with_neighbours(
    dataset: Dataset, video_id: int, between: tuple[int, int] | None
) -> Iterator[tuple[_Frame | None, _Frame, _Frame | None]]:
    """Each labelled frame, between the one before it and the one after it."""
    before: _Frame | None = None
    this: _Frame | None = None
    for row, labelled in dataset.annotations(video_id, between=between, parts=False):
        after = _Frame(row, tuple(_labelled_mask(annotation) for annotation in labelled))
        if this is not None:
            yield before, this, after
        before, this = this, after
    if this is not None:
        yield before, this, None


def _labelled_mask(annotation: Annotation) -> LabelledMask:
    # An empty mask is carvid's own; of many tracks most are absent in a frame.
    if annotation.area_px:
        checked_runs(annotation.rle)
    return LabelledMask(
        score=annotation.score,
        present=annotation.present,
        proposal_iou=annotation.proposal_iou,
        area_px=annotation.area_px,
        rle=annotation.rle,
    )


def _decimals(value: float) -> str:
    return f"{value:.{DIGITS}f}"


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
