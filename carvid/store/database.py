"""Reading a dataset: `open_dataset(folder)` and what it yields, in a fixed order."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError
from carvid.media.json_text import load_json
from carvid.media.rle import Rle, decode_rle, encode_rle
from carvid.store.checks import (
    COUNT,
    ID,
    NUMBER,
    PATH,
    SIDE_PX,
    TEXT,
    Column,
    Columns,
    check,
    damaged,
    one_of,
    or_null,
    table,
)
from carvid.store.opening import open_readable, reading_errors
from carvid.store.overlaps import Claim, settle
from carvid.store.schema import DONE, FAILED, HAND, MODEL, RUNNING, WAITING, database_path
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

    Rows come as they are asked for: memory does not grow with the length of a video. Everything that reads raises
    InputError where the database cannot be read or holds what carvid does not write.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._path = database_path(folder)
        self._connection = connection

    def settings(self) -> Mapping[str, Any]:
        """Models with hashes, thresholds (under "settings": eta, theta, lam, ...) and stream options.

        Empty until a model has been loaded.
        """
        for (text,) in self._rows(table("settings", json=TEXT), "settings"):
            found: Mapping[str, Any] = self._json(text, dict, "settings.json")
            return found
        return {}

    def setting(self, group: str, name: str, kind: Column) -> Any:
        """One of the settings: `name` under `group`. Raises InputError where there is none of that kind."""
        found = self.settings().get(group)
        value = found.get(name) if isinstance(found, dict) else None
        check(self._path, {f"setting {group}.{name}": kind}, [value])
        return value

    def meta(self) -> Mapping[str, str]:
        """Schema version, carvid's version and when the dataset was begun."""
        return dict(self._rows(table("meta", key=TEXT, value=TEXT), "meta ORDER BY key"))

    def videos(self, status: str | None = None) -> Iterator[Video]:
        """All videos, or those of that status, by id."""
        where, values = ("", ()) if status is None else ("WHERE status = ? ", (status,))
        for row in self._rows(_VIDEO, f"videos {where}ORDER BY id", values):
            yield self._video(dict(zip((name.partition(".")[2] for name in _VIDEO), row, strict=True)))

    def queries(self, video_id: int | None = None) -> Iterator[Query]:
        """The queries of a video in the order given; without a video all queries, by id."""
        if video_id is None:
            rows = self._rows(_QUERY, "queries ORDER BY id")
        else:
            rows = self._rows(
                _QUERY,
                "video_queries LEFT JOIN queries ON id = query_id WHERE video_id = ? ORDER BY position",
                (video_id,),
            )
        for row in rows:
            yield Query(*row)

    def frames(self, video_id: int) -> Iterator[FrameRow]:
        """The labelled frames of a video, by index; none before it is done."""
        for row in self._rows(_FRAME, "frames WHERE video_id = ? ORDER BY frame_index", (video_id,)):
            yield FrameRow(*row)

    def objects(self, video_id: int) -> Iterator[VideoObject]:
        """The objects of a video, by id; none before it is done."""
        for object_id, *query in self._rows(
            {**table("objects", object_id=ID), **_QUERY},
            # A query that is not one of the video's shows as NULL.
            "objects LEFT JOIN queries ON id = query_id AND EXISTS (SELECT 1 FROM video_queries AS asked"
            " WHERE asked.video_id = objects.video_id AND asked.query_id = objects.query_id)"
            " WHERE objects.video_id = ? ORDER BY object_id",
            (video_id,),
        ):
            yield VideoObject(object_id, Query(*query))

    def annotations(
        self, video_id: int, *, frame_index: int | None = None
    ) -> Iterator[tuple[FrameRow, tuple[Annotation, ...]]]:
        """The labelled frames of a video, by index, each with one annotation per object, by its id.

        frame_index: that frame alone.
        """
        objects = [each.id for each in self.objects(video_id)]
        one = "" if frame_index is None else " AND frames.frame_index = ?"
        rows = self._rows(
            {**_FRAME, **_ANNOTATION} if objects else _FRAME,
            f"{_LABELLED} WHERE frames.video_id = ?{one}"
            " ORDER BY frames.frame_index, annotations.object_id, annotations.revision",
            (video_id,) if frame_index is None else (video_id, frame_index),
        )
        for facts, group in groupby(rows, key=lambda row: row[: len(_FRAME)]):
            frame = FrameRow(*facts)
            # Revisions ascend, so the newest of an object is the one that stays.
            newest = {row[len(_FRAME)]: row[len(_FRAME) :] for row in group} if objects else {}
            if list(newest) != objects:
                raise damaged(
                    self._path,
                    f"frame {frame.frame_index} of video {video_id} has masks of the objects {list(newest)}, "
                    f"expected those of {objects}",
                )
            yield frame, _settled(tuple(self._annotation(row, frame) for row in newest.values()))

    def corrected(self, video_id: int) -> int:
        """How many of the annotations of a video are corrections by hand."""
        (row,) = self._rows(
            {"count(*)": COUNT},
            f"(SELECT 1 FROM {_LABELLED} WHERE frames.video_id = ? AND annotations.source = ?"
            " GROUP BY frames.frame_index, annotations.object_id)",
            (video_id, HAND),
        )
        return int(row[0])

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Dataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows(self, columns: Columns, of: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """The columns, checked, `of` what follows FROM."""
        with reading_errors(self._path):
            for row in self._connection.execute(f"SELECT {', '.join(columns)} FROM {of}", values):
                check(self._path, columns, row)
                yield row

    def _json(self, text: str, kind: type, name: str) -> Any:
        try:
            found = load_json(text)
        except ValueError as error:
            raise damaged(self._path, f"its {name} is no JSON ({error})") from error
        if not isinstance(found, kind):
            raise damaged(self._path, f"its {name} is a JSON {type(found).__name__}, not a {kind.__name__}")
        return found

    def _video(self, values: dict[str, Any]) -> Video:
        start, stop, rate = values["start_frame"], values["stop_frame"], values["frame_rate"]
        if stop is not None and stop <= start:
            raise damaged(
                self._path, f"the frames of video {values['id']} start at {start} and stop at {stop}"
            )
        if rate is not None and not re.fullmatch(_FRACTION, rate):
            raise damaged(self._path, f"its videos.frame_rate is {rate[:60]!r}, expected a positive fraction")
        damage = self._json(values["damage"], list, "videos.damage")
        for stretch in damage:
            found = stretch if isinstance(stretch, dict) else {}
            check(self._path, _DAMAGE, [found.get(name.partition(".")[2]) for name in _DAMAGE])
        values |= {
            "source": source_text(values["source"]),
            "frame_rate": None if rate is None else Fraction(rate),
            "damage": tuple(
                Damage(each["first_frame"], each.get("last_frame"), each["reason"]) for each in damage
            ),
        }
        return Video(**values)

    def _annotation(self, row: tuple[Any, ...], frame: FrameRow) -> Annotation:
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
        if {side is None for side in box} != {area_px == 0}:
            raise damaged(
                self._path,
                f"in frame {frame.frame_index} of video {frame.video_id}, object {object_id} of {area_px} px has "
                f"the box {box}",
            )
        rle: Rle = {"size": [frame.height, frame.width], "counts": counts}
        return Annotation(
            object_id=object_id,
            query_id=query_id,
            revision=revision,
            source=source,
            created=created,
            rle=rle,
            label_rle=rle if label_counts is None else {"size": rle["size"], "counts": label_counts},
            box_xywh=(box[0], box[1], box[2], box[3]) if area_px else None,
            area_px=area_px,
            score=score,
            present=bool(present),
            proposal_iou=iou,
        )


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
    "frames LEFT JOIN annotations ON annotations.video_id = frames.video_id"
    " AND annotations.frame_index = frames.frame_index AND annotations.width = frames.width"
    " AND annotations.height = frames.height AND EXISTS (SELECT 1 FROM objects AS o"
    " WHERE o.video_id = annotations.video_id AND o.object_id = annotations.object_id"
    " AND o.query_id = annotations.query_id)"
)
_FRACTION = "0*[1-9][0-9]{0,11}(/0*[1-9][0-9]{0,11})?"
# In the order of the fields of the classes above.
_VIDEO = table(
    "videos",
    id=ID,
    path=TEXT,
    source=PATH,
    start_frame=COUNT,
    stop_frame=or_null(ID),
    sha256=or_null(TEXT),
    size_bytes=or_null(COUNT),
    status=one_of(WAITING, RUNNING, DONE, FAILED),
    error=or_null(TEXT),
    width=or_null(SIDE_PX),
    height=or_null(SIDE_PX),
    frame_rate=or_null(TEXT),
    frame_count=or_null(COUNT),
    damage=TEXT,
)
_DAMAGE = table("damage", first_frame=COUNT, last_frame=or_null(COUNT), reason=TEXT)
_QUERY = table("queries", id=ID, text=TEXT)
_FRAME = table(
    "frames",
    video_id=ID,
    frame_index=COUNT,
    name=TEXT,
    pts_seconds=or_null(NUMBER),
    width=SIDE_PX,
    height=SIDE_PX,
)
_ANNOTATION = table(
    "annotations",
    object_id=ID,
    query_id=ID,
    revision=COUNT,
    source=one_of(MODEL, HAND),
    created=or_null(TEXT),
    rle=TEXT,
    label_rle=or_null(TEXT),
    box_x=or_null(COUNT),
    box_y=or_null(COUNT),
    box_w=or_null(ID),
    box_h=or_null(ID),
    area_px=COUNT,
    score=or_null(NUMBER),
    present=COUNT,
    proposal_iou=or_null(NUMBER),
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
