"""The labels of one video on their way into the dataset: a file that a worker writes frame by frame."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from carvid.measures.pair import iou
from carvid.media.rle import bounding_box_xywh, encode_rle
from carvid.result import FrameResult
from carvid.store.opening import database_errors, uri
from carvid.store.schema import LABEL_TABLES, MODEL
from carvid.store.task import as_text


class StagingWriter:
    """Writes the labels of one video; a context manager, closed before the file is merged.

    Object k belongs to the k-th query. Nothing is kept from frame to frame. A file that was not closed is
    worthless and is never merged.
    """

    def __init__(self, path: Path, video_id: int, query_ids: Sequence[int], eta: float) -> None:
        """path: replaced if it is there. eta: where `FrameResult.proposals` are cut to compare them with the
            masks.

        Raises OutputError if the file cannot be written.
        """
        self._path, self._video_id, self._query_ids, self._eta = path, video_id, tuple(query_ids), eta
        self.frame_count = 0
        with database_errors(path):
            path.unlink(missing_ok=True)
            self._connection = sqlite3.connect(uri(path, "mode=rwc"), uri=True, isolation_level=None)
            try:
                # After a crash the file is thrown away, so nothing is spent on being able to recover it.
                self._connection.executescript(
                    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + LABEL_TABLES + "BEGIN;"
                )
                self._connection.executemany(
                    "INSERT INTO objects VALUES (?, ?, ?)",
                    [(video_id, object_id, query_id) for object_id, query_id in enumerate(query_ids, 1)],
                )
            except sqlite3.Error:
                self._discard()
                raise

    def write(self, result: FrameResult) -> None:
        """Add one frame; indices ascend. Raises OutputError if it cannot be written."""
        height, width = result.label_map.shape
        rows = [
            self._row(result, object_id, query_id) for object_id, query_id in enumerate(self._query_ids, 1)
        ]
        with database_errors(self._path):
            self._connection.execute(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)",
                (self._video_id, result.index, as_text(result.name), result.pts_seconds, width, height),
            )
            self._connection.executemany(f"INSERT INTO annotations VALUES ({', '.join('?' * 19)})", rows)
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

    def _row(self, result: FrameResult, object_id: int, query_id: int) -> tuple[object, ...]:
        i = object_id - 1
        mask = result.masks[i]
        height, width = mask.shape
        counts = encode_rle(mask)["counts"]
        label_counts = encode_rle(result.label_map == object_id)["counts"]
        box = bounding_box_xywh(mask) or (None, None, None, None)
        proposal_iou = None
        if result.evidence is not None:
            proposal = result.evidence.proposals[i] > self._eta
            # NULL where both are empty: there is nothing to compare.
            proposal_iou = iou(proposal, mask) if proposal.any() or mask.any() else None
        return (
            self._video_id,
            result.index,
            object_id,
            0,
            MODEL,
            None,
            query_id,
            width,
            height,
            counts,
            None if label_counts == counts else label_counts,
            *box,
            int(np.count_nonzero(mask)),
            float(result.scores[i]),
            int(result.present[i]),
            proposal_iou,
        )
