"""The labels of one video on their way into the dataset: a file that a worker writes frame by frame."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from carvid.measures.pair import iou
from carvid.media.rle import bounding_box_xywh, encode_rle
from carvid.result import FrameResult, ObjectResult
from carvid.store.opening import database_errors, uri
from carvid.store.schema import LABEL_TABLES, MODEL
from carvid.store.task import as_text


class StagingWriter:
    """Writes the labels of one video; a context manager, closed before the file is merged.

    Without tracks, object k belongs to the k-th query and has a row in every frame. A track has a row in the frames
    that it is in; its number and query are written when it is first seen. Nothing is kept from frame to frame but the
    numbers of the objects. A file that was not closed is worthless and is never merged.
    """

    def __init__(self, path: Path, video_id: int, query_ids: Sequence[int], eta: float) -> None:
        """path: replaced if it is there. eta: where `FrameResult.proposals` are cut to compare them with the
            masks.

        Raises OutputError if the file cannot be written.
        """
        self._path, self._video_id, self._query_ids, self._eta = path, video_id, tuple(query_ids), eta
        self.frame_count = 0
        self._known: set[int] = set()
        with database_errors(path):
            path.unlink(missing_ok=True)
            self._connection = sqlite3.connect(uri(path, "mode=rwc"), uri=True, isolation_level=None)
            try:
                # After a crash the file is thrown away, so nothing is spent on being able to recover it.
                self._connection.executescript(
                    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + LABEL_TABLES + "BEGIN;"
                )
            except sqlite3.Error:
                self._discard()
                raise

    def write(self, result: FrameResult) -> None:
        """Add one frame; indices ascend. Raises OutputError if it cannot be written."""
        height, width = result.label_map.shape
        query_ids = self._queries_of(result)
        proposal_ious = _proposal_ious(result, self._eta)
        rows = [
            self._row(result, *each) for each in zip(result.objects, query_ids, proposal_ious, strict=True)
        ]
        new = [
            (self._video_id, one.id, query_id, result.has_tracks)
            for one, query_id in zip(result.objects, query_ids, strict=True)
            if one.id not in self._known
        ]
        with database_errors(self._path):
            self._connection.execute(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._video_id,
                    result.index,
                    as_text(result.name),
                    result.pts_seconds,
                    width,
                    height,
                    *_origin(result),
                ),
            )
            self._connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?)", new)
            self._connection.executemany(f"INSERT INTO annotations VALUES ({', '.join('?' * 19)})", rows)
        self._known.update(one.id for one in result.objects)
        self.frame_count += 1

    def close(self) -> None:
        """Complete the file. Raises OutputError if that fails; the file is then removed."""
        with database_errors(self._path):
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._discard()
                raise
        self._connection.close()

    def __enter__(self) -> StagingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def _discard(self) -> None:
        self._connection.close()
        self._path.unlink(missing_ok=True)

    def _queries_of(self, result: FrameResult) -> tuple[int, ...]:
        """The ids of the queries of the objects, in their order."""
        if result.verdicts is None:
            return self._query_ids
        ids = {said.query: number for said, number in zip(result.verdicts, self._query_ids, strict=True)}
        return tuple(ids[one.query] for one in result.objects)

    def _row(
        self, result: FrameResult, one: ObjectResult, query_id: int, proposal_iou: float | None
    ) -> tuple[object, ...]:
        height, width = one.mask.shape
        counts = encode_rle(one.mask)["counts"]
        label_counts = encode_rle(result.label_map == one.id)["counts"]
        box = bounding_box_xywh(one.mask) or (None, None, None, None)
        return (
            self._video_id,
            result.index,
            one.id,
            0,
            MODEL,
            None,
            query_id,
            width,
            height,
            counts,
            None if label_counts == counts else label_counts,
            *box,
            one.area_px,
            float(np.float32(one.score)),
            int(one.present),
            proposal_iou,
        )


def _proposal_ious(result: FrameResult, eta: float) -> list[float | None]:
    """For each object the IoU of its query's proposal, cut at `eta`, with its mask; None where there is none."""
    if result.evidence is None or result.evidence.read_proposals is None or result.has_tracks:
        return [None] * len(result.objects)
    pairs = zip(result.evidence.proposals > eta, (one.mask for one in result.objects), strict=True)
    # NULL where both are empty: there is nothing to compare.
    return [iou(proposal, mask) if proposal.any() or mask.any() else None for proposal, mask in pairs]


def _origin(result: FrameResult) -> tuple[int | None, float | None, str | None]:
    """The columns is_key, confidence and keys."""
    origin = result.origin
    if origin is None:
        return None, None, None
    return int(origin.key), float(origin.confidence), json.dumps([int(index) for index in origin.keys])
