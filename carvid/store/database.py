"""Reading a dataset: `open_dataset(folder)` and what it yields, in a fixed order."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.media.rle import Rle, decode_rle
from carvid.store.schema import DONE, check_schema, database_path, uri
from carvid.stream.source import Damage


@dataclass(frozen=True)
class Video:
    """One video, or one range of frames of it.

    id: from 1, in the order of discovery; file names of exports are made from it, never from a name.
    path: relative to the input's root, as text; two videos may have the same. source: absolute.
    start_frame, stop_frame: the range asked for; stop_frame None: to the end.
    sha256, size_bytes: of the source, as `carvid.stream.identity.identify_source`; None before it is labelled.
    status: waiting, running, done or failed. error: why it failed.
    width, height: of the first frame in px. frame_rate: frames per second of the source; None for a folder.
    frame_count: frames labelled; those so far while it is running. These four and damage are known when it is
        done.
    damage: runs of frames that could not be decoded.
    """

    id: int
    path: str
    source: str
    start_frame: int
    stop_frame: int | None
    sha256: str | None
    size_bytes: int | None
    status: str
    error: str | None
    width: int | None
    height: int | None
    frame_rate: Fraction | None
    frame_count: int | None
    damage: tuple[Damage, ...]

    @property
    def is_done(self) -> bool:
        return self.status == DONE


@dataclass(frozen=True)
class Query:
    """A referring expression; id: from 1, the same in all videos."""

    id: int
    text: str


@dataclass(frozen=True)
class FrameRow:
    """A labelled frame; fields as `carvid.frame.Frame`, width and height in px."""

    video_id: int
    frame_index: int
    name: str
    pts_seconds: float | None
    width: int
    height: int


@dataclass(frozen=True)
class Annotation:
    """One query in one frame; present or not, there is one for every query of the video.

    rle: the query's own mask, which may overlap another's; empty where the query is absent.
    label_rle: the part of it where this query responds most (`FrameResult.label_map`); the parts of a frame's
        queries do not overlap.
    box_xywh: in px, x and y from the top left corner; None for an empty mask.
    score: the query's last score P_t^{ii}, in [0, 1]. present: whether it survived with score >= theta.
    proposal_iou: IoU of the proposal cut at eta with the mask, in [0, 1]; None where both are empty.
    """

    query_id: int
    rle: Rle
    label_rle: Rle
    box_xywh: tuple[int, int, int, int] | None
    area_px: int
    score: float
    present: bool
    proposal_iou: float | None

    def mask(self) -> NDArray[np.bool_]:
        """The mask as (H, W) bool. Raises InputError if the run-length code is damaged."""
        return decode_rle(self.rle)

    def label_mask(self) -> NDArray[np.bool_]:
        """`label_rle` as (H, W) bool. Raises InputError if the run-length code is damaged."""
        return decode_rle(self.label_rle)


class Dataset:
    """A dataset as it stood when it was opened, read-only; a context manager.

    Rows come as they are asked for: memory does not grow with the length of a video.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection

    def settings(self) -> Mapping[str, Any]:
        """Models with hashes, thresholds (under "settings": eta, theta, lam, ...) and stream options.

        Empty before the first model was loaded.
        """
        row = self._connection.execute("SELECT json FROM settings").fetchone()
        return json.loads(row[0]) if row else {}

    def meta(self) -> Mapping[str, str]:
        """Schema version, carvid's version and when the dataset was begun."""
        return dict(self._connection.execute("SELECT key, value FROM meta ORDER BY key"))

    def videos(self) -> Iterator[Video]:
        """All videos, by id."""
        columns = [field.name for field in fields(Video)]
        for row in self._connection.execute(f"SELECT {', '.join(columns)} FROM videos ORDER BY id"):
            values = dict(zip(columns, row, strict=True))
            rate = values["frame_rate"]
            values |= {
                "source": source_text(values["source"]),
                "frame_rate": None if rate is None else Fraction(rate),
                "damage": tuple(Damage(**stretch) for stretch in json.loads(values["damage"])),
            }
            yield Video(**values)

    def queries(self, video_id: int | None = None) -> Iterator[Query]:
        """The queries of a video in the order given; without a video all queries, by id."""
        if video_id is None:
            rows = self._connection.execute("SELECT id, text FROM queries ORDER BY id")
        else:
            rows = self._connection.execute(
                "SELECT id, text FROM video_queries JOIN queries ON id = query_id"
                " WHERE video_id = ? ORDER BY position",
                (video_id,),
            )
        for row in rows:
            yield Query(*row)

    def frames(self, video_id: int) -> Iterator[FrameRow]:
        """The labelled frames of a video, by index; none before it is done."""
        for row in self._connection.execute(
            "SELECT video_id, frame_index, name, pts_seconds, width, height FROM frames"
            " WHERE video_id = ? ORDER BY frame_index",
            (video_id,),
        ):
            yield FrameRow(*row)

    def annotations(self, video_id: int) -> Iterator[tuple[FrameRow, tuple[Annotation, ...]]]:
        """The labelled frames of a video, by index, each with one annotation per query, in their order."""
        place = {query.id: position for position, query in enumerate(self.queries(video_id))}
        rows = self._connection.execute(
            "SELECT frame_index, query_id, rle, label_rle, box_x, box_y, box_w, box_h, area_px, score,"
            " present, proposal_iou FROM annotations WHERE video_id = ? ORDER BY frame_index, query_id",
            (video_id,),
        )
        # Every frame has a row per query and a video has a query, so the two run side by side.
        for frame, (_, group) in zip(
            self.frames(video_id), groupby(rows, key=lambda row: row[0]), strict=True
        ):
            found = (_annotation(row, frame) for row in group)
            yield frame, tuple(sorted(found, key=lambda annotation: place[annotation.query_id]))

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Open a dataset for reading, while others may write to it.

    Raises InputError where there is no dataset, or one of another schema version.
    """
    path = database_path(Path(folder))
    if not path.is_file():
        raise InputError(f"{folder} holds no {path.name}; give a folder that `carvid annotate` wrote")
    # With a write-ahead log SQLite must write beside the database even to read it, unless nothing changes.
    wal = path.with_name(path.name + "-wal")
    quiet = not os.access(path.parent, os.W_OK) and not wal.exists()
    mode = "immutable=1" if quiet else "mode=ro"
    try:
        connection = sqlite3.connect(uri(path, mode), uri=True, isolation_level=None, timeout=30.0)
        try:
            connection.execute("BEGIN")
            check_schema(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return Dataset(Path(folder), connection)


def source_value(source: str) -> str | bytes:
    """A path as the database holds it: as text, or as bytes where it is not UTF-8."""
    try:
        source.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(source)
    return source


def source_text(value: str | bytes) -> str:
    """The inverse of `source_value`."""
    return os.fsdecode(value) if isinstance(value, bytes) else value


def _annotation(row: tuple[Any, ...], frame: FrameRow) -> Annotation:
    _, query_id, counts, label_counts, x, y, width, height, area_px, score, present, proposal_iou = row
    rle: Rle = {"size": [frame.height, frame.width], "counts": counts}
    label: Rle = rle if label_counts is None else {"size": rle["size"], "counts": label_counts}
    return Annotation(
        query_id=query_id,
        rle=rle,
        label_rle=label,
        box_xywh=None if x is None else (x, y, width, height),
        area_px=area_px,
        score=score,
        present=bool(present),
        proposal_iou=proposal_iou,
    )
