"""Reading a dataset: `open_dataset(folder)` and what it yields, in a fixed order."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from carvid.errors import InputError
from carvid.evidence import FrameOrigin
from carvid.media.json_text import load_json
from carvid.media.rle import Rle, encode_rle
from carvid.paths import is_file, written_by_carvid
from carvid.store.checks import COUNT, ID, TEXT, Column, Columns, check, damaged, or_null, table
from carvid.store.opening import open_readable, reading_errors
from carvid.store.overlaps import Claim, settle
from carvid.store.rows import (
    ANNOTATION_COLUMNS,
    DAMAGE_COLUMNS,
    FRAME_COLUMNS,
    QUERY_COLUMNS,
    VIDEO_COLUMNS,
    Annotation,
    FrameRow,
    Query,
    Video,
    VideoObject,
)
from carvid.store.schema import HAND, MODEL, RESTORED, database_path
from carvid.stream.source import Damage

_SHARE = Column("a number from 0 to 1", (float, int), 0, 1)
_FRACTION = "0*[1-9][0-9]{0,11}(/0*[1-9][0-9]{0,11})?"
# A correction counts while its object belongs to the same query and its frame has the same size.
LABELLED = (
    "frames LEFT JOIN annotations ON annotations.video_id = frames.video_id"
    " AND annotations.frame_index = frames.frame_index AND annotations.width = frames.width"
    " AND annotations.height = frames.height AND EXISTS (SELECT 1 FROM objects AS o"
    " WHERE o.video_id = annotations.video_id AND o.object_id = annotations.object_id"
    " AND o.query_id = annotations.query_id)"
)


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
        for (text,) in self.rows(table("settings", json=TEXT), "settings"):
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
        return dict(self.rows(table("meta", key=TEXT, value=TEXT), "meta ORDER BY key"))

    def videos(self, status: str | None = None) -> Iterator[Video]:
        """All videos, or those of that status, by id."""
        return self._videos("") if status is None else self._videos("WHERE status = ?", (status,))

    def video(self, video_id: int) -> Video | None:
        """The video with that id; None where there is none."""
        return next(self._videos("WHERE id = ?", (video_id,)), None)

    def queries(self, video_id: int | None = None) -> Iterator[Query]:
        """The queries of a video in the order given; without a video all queries, by id."""
        if video_id is None:
            rows = self.rows(QUERY_COLUMNS, "queries ORDER BY id")
        else:
            rows = self.rows(
                QUERY_COLUMNS,
                "video_queries LEFT JOIN queries ON id = query_id WHERE video_id = ? ORDER BY position",
                (video_id,),
            )
        for row in rows:
            yield Query(*row)

    def frames(self, video_id: int) -> Iterator[FrameRow]:
        """The labelled frames of a video, by index; none before it is done."""
        if not self._is_done(video_id):
            return
        for row in self.rows(FRAME_COLUMNS, "frames WHERE video_id = ? ORDER BY frame_index", (video_id,)):
            yield self._frame(row)

    def objects(self, video_id: int) -> Iterator[VideoObject]:
        """The objects of a video, by id; none before it is done."""
        if not self._is_done(video_id):
            return
        for object_id, is_track, *query in self.rows(
            {**table("objects", object_id=ID, is_track=COUNT), **QUERY_COLUMNS},
            # A query that is not one of the video's shows as NULL.
            "objects LEFT JOIN queries ON id = query_id AND EXISTS (SELECT 1 FROM video_queries AS asked"
            " WHERE asked.video_id = objects.video_id AND asked.query_id = objects.query_id)"
            " WHERE objects.video_id = ? ORDER BY object_id",
            (video_id,),
        ):
            yield VideoObject(object_id, Query(*query), bool(is_track))

    def annotations(
        self, video_id: int, *, between: tuple[int, int] | None = None, parts: bool = True
    ) -> Iterator[tuple[FrameRow, tuple[Annotation, ...]]]:
        """The labelled frames of a video, by index, each with one annotation per object, by its id.

        None before it is done. between: only the frames from the first index to the last, both included. parts: work
        out `label_rle` where masks were corrected, which takes decoding all masks of the frame; otherwise it is the
        model's there.
        """
        if not self._is_done(video_id):
            return
        objects = tuple(self.objects(video_id))
        tracks = any(each.is_track for each in objects)
        columns = dict(FRAME_COLUMNS)
        if objects:
            # All that is joined to a frame without any track is NULL.
            columns |= {name: or_null(each) if tracks else each for name, each in ANNOTATION_COLUMNS.items()}
        part = "" if between is None else " AND frames.frame_index BETWEEN ? AND ?"
        rows = self.rows(
            columns,
            f"{LABELLED} WHERE frames.video_id = ?{part}"
            " ORDER BY frames.frame_index, annotations.object_id, annotations.revision",
            (video_id, *(between or ())),
        )
        # Made once per frame size: of many tracks most are absent in a frame.
        absent: dict[int, Annotation] = {}
        size = 0, 0
        for facts, group in groupby(rows, key=lambda row: row[: len(FRAME_COLUMNS)]):
            frame = self._frame(facts)
            newest = newest_masks(row[len(FRAME_COLUMNS) :] for row in group) if objects else {}
            if tracks:
                for row in newest.values():
                    check(self._path, ANNOTATION_COLUMNS, row)
            elif list(newest) != [each.id for each in objects]:
                raise damaged(
                    self._path,
                    f"frame {frame.frame_index} of video {video_id} has masks of the objects {list(newest)}, "
                    f"expected those of {[each.id for each in objects]}",
                )
            if size != (frame.height, frame.width):
                size = frame.height, frame.width
                absent = {each.id: _absent(each, *size) for each in objects if tracks}
            found = (
                self._annotation(newest[each.id], frame) if each.id in newest else absent[each.id]
                for each in objects
            )
            yield frame, _settled(tuple(found)) if parts else tuple(found)

    def damage(self, text: str, name: str) -> tuple[Damage, ...]:
        """The damage that a column of that name holds as `text`."""
        found = self._json(text, list, name)
        for stretch in found:
            facts = stretch if isinstance(stretch, dict) else {}
            check(self._path, DAMAGE_COLUMNS, [facts.get(key.partition(".")[2]) for key in DAMAGE_COLUMNS])
        return tuple(Damage(each["first_frame"], each.get("last_frame"), each["reason"]) for each in found)

    def corrected(self, video_id: int) -> int:
        """How many of the annotations of a video are corrections by hand."""
        (row,) = self.rows(
            {"count(*)": COUNT},
            # Of a group with max(), SQLite gives the other columns of that very row.
            f"(SELECT annotations.source AS source, max(annotations.revision) FROM {LABELLED}"
            " WHERE frames.video_id = ? AND annotations.revision > 0"
            " GROUP BY frames.frame_index, annotations.object_id) WHERE source = ?",
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

    def rows(self, columns: Columns, of: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """The columns, checked, `of` what follows FROM: for the other files of `carvid.store`."""
        with reading_errors(self._path):
            for row in self._connection.execute(f"SELECT {', '.join(columns)} FROM {of}", values):
                check(self._path, columns, row)
                yield row

    def _is_done(self, video_id: int) -> bool:
        # Of a video that is labelled in pieces, some frames are there before.
        video = self.video(video_id)
        return video is not None and video.is_done

    def _videos(self, where: str, values: tuple[Any, ...] = ()) -> Iterator[Video]:
        for row in self.rows(VIDEO_COLUMNS, f"videos {where} ORDER BY id", values):
            yield self._video(dict(zip((name.partition(".")[2] for name in VIDEO_COLUMNS), row, strict=True)))

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
        values |= {
            "source": source_text(values["source"]),
            "frame_rate": None if rate is None else Fraction(rate),
            "damage": self.damage(values["damage"], "videos.damage"),
        }
        return Video(**values)

    def _frame(self, row: tuple[Any, ...]) -> FrameRow:
        *facts, is_key, confidence, keys = row
        frame = FrameRow(*facts)
        if is_key is confidence is keys is None:
            return frame
        told = {"is_key": COUNT, "confidence": _SHARE, "keys": TEXT}
        check(self._path, table("frames", **told), (is_key, confidence, keys))
        indices = self._json(keys, list, "frames.keys")
        for index in indices:
            check(self._path, table("keys", frame_index=COUNT), [index])
        return replace(frame, origin=FrameOrigin(bool(is_key), float(confidence), tuple(indices)))

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
    if not is_file(path, InputError):
        raise InputError(
            f"{folder} holds no {path.name}; give a folder that `carvid annotate` wrote{written_by_carvid(folder)}"
        )
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


def newest_masks(rows: Iterable[tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    """Object id -> its newest mask, of the masks of a frame, whose revisions ascend; NULLs are no mask.

    The first columns are object id, query id, revision, source and when it was created.
    """
    models: dict[int, tuple[Any, ...]] = {}
    newest: dict[int, tuple[Any, ...]] = {}
    for row in rows:
        object_id, query_id, revision, source, *_ = row
        if object_id is None:
            continue
        if source == MODEL:
            models[object_id] = row
        elif source == RESTORED:
            # A track may have no mask of the model's; the row says so itself.
            _, _, _, _, _, *model = models.get(object_id, row)
            row = (object_id, query_id, revision, MODEL, None, *model)
        newest[object_id] = row
    return newest


def _absent(one: VideoObject, height: int, width: int) -> Annotation:
    """What stands for a track in a frame of that size, in px, that it is not in."""
    rle: Rle = {"size": [height, width], "counts": _empty_counts(height, width)}
    return Annotation(
        object_id=one.id,
        query_id=one.query.id,
        revision=0,
        source=MODEL,
        created=None,
        rle=rle,
        label_rle=rle,
        box_xywh=None,
        area_px=0,
        score=None,
        present=False,
        proposal_iou=None,
    )


@lru_cache
def _empty_counts(height: int, width: int) -> str:
    return encode_rle(np.zeros((height, width), np.bool_))["counts"]


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
