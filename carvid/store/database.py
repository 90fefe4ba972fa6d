"""Reading a dataset: `open_dataset(folder)` and what it yields, in a fixed order."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.media.rle import Rle, decode_rle, encode_rle
from carvid.store.opening import open_readable
from carvid.store.overlaps import Claim, settle
from carvid.store.schema import DONE, HAND, database_path
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
    frame_count: frames labelled, so far if it is running. These four and damage are known when it is done.
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
class VideoObject:
    """What a query refers to in a video; id: from 1, within the video. A query may have several."""

    id: int
    query: Query


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
    """The newest mask of one object in one frame; present or not, there is one for every object of the video.

    revision: 0 for the model's; the corrections by hand are 1, 2, ... source: "model" or "hand".
    created: when a correction was made, in UTC, as ISO 8601; None for the model's.
    rle: the object's own mask, which may overlap another's; empty where the object is absent.
    label_rle: the part of it that is this object's alone: where its query responds most
        (`FrameResult.label_map`), and with corrections as `carvid.store.overlaps.settle` has it. The parts of
        a frame's objects do not overlap.
    box_xywh: in px, x and y from the top left corner; None for an empty mask.
    score: the query's last score P_t^{ii}, in [0, 1]; None for a correction.
    present: whether the query survived with score >= theta; of a correction, whether the mask is not empty.
    proposal_iou: IoU of the proposal cut at eta with the mask, in [0, 1]; None where both are empty, and for
        a correction.
    """

    object_id: int
    query_id: int
    revision: int
    source: str
    created: str | None
    rle: Rle
    label_rle: Rle
    box_xywh: tuple[int, int, int, int] | None
    area_px: int
    score: float | None
    present: bool
    proposal_iou: float | None

    @property
    def is_corrected(self) -> bool:
        return self.source == HAND

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

        Empty until a model has been loaded.
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

    def objects(self, video_id: int) -> Iterator[VideoObject]:
        """The objects of a video, by id; none before it is done."""
        for object_id, *query in self._connection.execute(
            "SELECT object_id, query_id, text FROM objects JOIN queries ON id = query_id"
            " WHERE video_id = ? ORDER BY object_id",
            (video_id,),
        ):
            yield VideoObject(object_id, Query(*query))

    def annotations(
        self, video_id: int, *, frame_index: int | None = None
    ) -> Iterator[tuple[FrameRow, tuple[Annotation, ...]]]:
        """The labelled frames of a video, by index, each with one annotation per object, by its id.

        frame_index: that frame alone.
        """
        one = "" if frame_index is None else " AND f.frame_index = ?"
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM {_LABELLED}"
            f" WHERE f.video_id = ?{one} ORDER BY f.frame_index, a.object_id, a.revision",
            (video_id,) if frame_index is None else (video_id, frame_index),
        )
        for facts, group in groupby(rows, key=lambda row: row[:_FRAME_COLUMNS]):
            frame = FrameRow(*facts)
            # Revisions ascend, so the newest of an object is the one that stays.
            newest = {row[_FRAME_COLUMNS]: row[_FRAME_COLUMNS:] for row in group}
            newest.pop(None, None)
            yield frame, _settled(tuple(_annotation(row, frame) for row in newest.values()))

    def corrected(self, video_id: int) -> int:
        """How many of the annotations of a video are corrections by hand."""
        (count,) = self._connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {_LABELLED} WHERE f.video_id = ? AND a.source = ?"
            " GROUP BY f.frame_index, a.object_id)",
            (video_id, HAND),
        ).fetchone()
        return int(count)

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

    One that an earlier carvid wrote is upgraded first (`carvid.store.migrations`).
    Raises InputError where there is no dataset, one of a newer carvid's, or an earlier one's that cannot be
    upgraded as it cannot be written.
    """
    return Dataset(Path(folder), open_readable(existing_database(Path(folder))))


def existing_database(folder: Path) -> Path:
    """The path of a dataset's database. Raises InputError where there is none."""
    path = database_path(folder)
    if not path.is_file():
        raise InputError(f"{folder} holds no {path.name}; give a folder that `carvid annotate` wrote")
    return path


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


# A correction counts while its object belongs to the same query and its frame has the same size.
_LABELLED = (
    "frames AS f LEFT JOIN annotations AS a ON a.video_id = f.video_id AND a.frame_index = f.frame_index"
    " AND a.width = f.width AND a.height = f.height AND EXISTS (SELECT 1 FROM objects AS o"
    " WHERE o.video_id = a.video_id AND o.object_id = a.object_id AND o.query_id = a.query_id)"
)
_FRAME_COLUMNS = len(fields(FrameRow))
_COLUMNS = ", ".join(
    [
        *(f"f.{field.name}" for field in fields(FrameRow)),
        "a.object_id, a.query_id, a.revision, a.source, a.created, a.rle, a.label_rle, a.box_x, a.box_y",
        "a.box_w, a.box_h, a.area_px, a.score, a.present, a.proposal_iou",
    ]
)


def _annotation(row: tuple[Any, ...], frame: FrameRow) -> Annotation:
    (
        object_id,
        query_id,
        revision,
        source,
        created,
        counts,
        label_counts,
        *box,
        area_px,
        score,
        present,
        iou,
    ) = row
    rle: Rle = {"size": [frame.height, frame.width], "counts": counts}
    x, y, width, height = box
    return Annotation(
        object_id=object_id,
        query_id=query_id,
        revision=revision,
        source=source,
        created=created,
        rle=rle,
        label_rle=rle if label_counts is None else {"size": rle["size"], "counts": label_counts},
        box_xywh=None if x is None else (x, y, width, height),
        area_px=area_px,
        score=score,
        present=bool(present),
        proposal_iou=iou,
    )


def _settled(annotations: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
    """The annotations of a frame with the parts that corrections leave to each of them."""
    if not any(annotation.is_corrected for annotation in annotations):
        return annotations
    parts = settle(
        [Claim(each.mask(), each.label_mask(), each.score or 0.0, each.created) for each in annotations]
    )
    codes = [encode_rle(part) for part in parts]
    return tuple(
        replace(annotation, label_rle=annotation.rle if code == annotation.rle else code)
        for annotation, code in zip(annotations, codes, strict=True)
    )
