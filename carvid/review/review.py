"""`review_dataset`: review.csv, the frames of a dataset by how much they deserve a look."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from carvid.errors import InputError, OutputError, UsageError
from carvid.media.whole_file import Replacement, output_errors
from carvid.review.suspicion import Components, Look, components
from carvid.store.database import Annotation, Dataset, FrameRow, Video, VideoObject, open_dataset

REVIEW = "review.csv"
"""The file's name in the dataset folder."""

COLUMNS = (
    "rank",
    "total",
    *(field.name for field in fields(Components)),
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
"""Decimals of the components, of the total and of the score."""


@dataclass(frozen=True)
class ReviewSummary:
    """path: of the file. frames: how many were ranked. rows: how many were written.
    skipped: a sentence for each video that is not done and so was not ranked.
    """

    path: str
    frames: int
    rows: int
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Frame:
    """A labelled frame of the window; looks: one per object, in their order."""

    row: FrameRow
    looks: tuple[Look, ...]


def review_dataset(
    dataset: str | os.PathLike[str], out: str | os.PathLike[str] | None = None, *, top: int | None = None
) -> ReviewSummary:
    """Rank the frames of the videos that are done and write them to a CSV file, the most doubtful first.

    A frame ranks as its most doubtful object does, and its row holds that object's values; of equal frames
    the one with the lower video id, then with the lower index, comes first. A frame of a video without objects
    is not ranked. The same database gives the same bytes.

    out: the file; `review.csv` in the dataset folder by default. An earlier one is replaced, whole or not at
        all. top: write only this many frames.

    Raises UsageError for `top`, InputError if there is no dataset or no video in it is done, OutputError if
    the file cannot be written.
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
        frames, rows = _write(path, opened, done, top)
    return ReviewSummary(str(path), frames, rows, skipped)


def _write(path: Path, dataset: Dataset, videos: Sequence[Video], top: int | None) -> tuple[int, int]:
    # A private database on the disk sorts any number of rows in little memory.
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


def _rows(dataset: Dataset, video: Video) -> Iterator[tuple[float, int, int, str]]:
    """Total, video id, frame index, and the row's text from the second cell on."""
    try:
        theta = float(dataset.settings()["settings"]["theta"])
        objects = tuple(dataset.objects(video.id))
        for before, this, after in _windows(dataset, video):
            if objects:
                yield _row(video, theta, objects, before, this, after)
    except sqlite3.Error as error:
        raise InputError(f"cannot read the dataset {dataset.folder}: {error}") from error


def _row(
    video: Video,
    theta: float,
    objects: Sequence[VideoObject],
    before: _Frame | None,
    this: _Frame,
    after: _Frame | None,
) -> tuple[float, int, int, str]:
    found = [
        components(
            theta,
            None if before is None else before.looks[i],
            look,
            None if after is None else after.looks[i],
        )
        for i, look in enumerate(this.looks)
    ]
    # Of objects that the file would show as equal, max keeps the first.
    totals = [round(one.total, DIGITS) for one in found]
    worst = max(range(len(found)), key=totals.__getitem__)
    look, row = this.looks[worst], this.row
    cells = [
        _decimals(totals[worst]),
        *(_decimals(value) for value in astuple(found[worst])),
        video.id,
        video.path,
        row.frame_index,
        row.name,
        "" if row.pts_seconds is None else _decimals(row.pts_seconds),
        objects[worst].query.text,
        "" if look.score is None else _decimals(look.score),
        int(look.present),
        look.area_px,
    ]
    return totals[worst], video.id, row.frame_index, _csv_line(cells)


def _windows(dataset: Dataset, video: Video) -> Iterator[tuple[_Frame | None, _Frame, _Frame | None]]:
    """Each labelled frame with those next to it."""
    before: _Frame | None = None
    this: _Frame | None = None
    for row, labelled in dataset.annotations(video.id):
        after = _Frame(row, tuple(_look(annotation) for annotation in labelled))
        if this is not None:
            yield before, this, after
        before, this = this, after
    if this is not None:
        yield before, this, None


def _look(annotation: Annotation) -> Look:
    return Look(
        score=annotation.score,
        present=annotation.present,
        proposal_iou=annotation.proposal_iou,
        area_px=annotation.area_px,
        mask=annotation.mask(),
    )


def _decimals(value: float) -> str:
    return f"{value:.{DIGITS}f}"


class _Line:
    """A file that keeps the last line written."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _csv_line(cells: Sequence[Any]) -> str:
    line = _Line()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.text
