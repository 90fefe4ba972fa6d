"""Corrections by hand: masks that take the place of the model's, which stays in the dataset beside them."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.media.rle import bounding_box_xywh, encode_rle
from carvid.store.database import Dataset, existing_database
from carvid.store.opening import open_writable, transaction
from carvid.store.rows import Annotation
from carvid.store.schema import HAND


class StaleRevisionError(UsageError):
    """The mask was corrected after it was read (exit code 2)."""


class Corrections:
    """Writes corrections into a dataset; a context manager. Others may read and label meanwhile."""

    def __init__(self, dataset: str | os.PathLike[str]) -> None:
        """Raises InputError where there is no dataset, OutputError where it cannot be written."""
        self._path = existing_database(Path(dataset))
        self._connection = open_writable(self._path)
        self._dataset = Dataset(Path(dataset), self._connection)

    def correct(
        self,
        video_id: int,
        frame_index: int,
        object_id: int,
        mask: NDArray[np.bool_],
        *,
        expected_revision: int,
    ) -> int:
        """Put `mask` in the place of an object's mask in a frame; returns its revision.

        mask: (H, W) bool, of the frame's size; an empty one says that the object is absent.
        expected_revision: `Annotation.revision` of the mask that was corrected; 0 for a track that is not in the frame.

        Raises StaleRevisionError if the newest revision is another one, UsageError if there is no such object
        in such a labelled frame or the mask is not of its size, OutputError where the dataset cannot be
        written. Nothing is changed then.
        """
        with transaction(self._connection, self._path):
            where = f"object {object_id} in frame {frame_index} of video {video_id}"
            newest = self._newest(video_id, frame_index, object_id)
            if newest is None:
                raise UsageError(f"there is no {where}, or it is not labelled")
            if newest.revision != expected_revision:
                raise StaleRevisionError(
                    f"{where} is at revision {newest.revision}, not {expected_revision}: it was changed after "
                    "it was read; read it again and correct what is there now"
                )
            height, width = newest.rle["size"]
            if mask.dtype != np.bool_ or mask.shape != (height, width):
                raise UsageError(
                    f"the mask for {where} is {mask.dtype} of shape {mask.shape}; expected bool of shape "
                    f"{(height, width)}"
                )
            return self._add(video_id, frame_index, newest, mask)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Corrections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _newest(self, video_id: int, frame_index: int, object_id: int) -> Annotation | None:
        for _, found in self._dataset.annotations(video_id, frame_index=frame_index):
            return next((each for each in found if each.object_id == object_id), None)
        return None

    def _add(self, video_id: int, frame_index: int, newest: Annotation, mask: NDArray[np.bool_]) -> int:
        height, width = mask.shape
        # Above those too that are not read now, made when the object had another query or the frame another size.
        (highest,) = self._connection.execute(
            "SELECT max(revision) FROM annotations WHERE video_id = ? AND frame_index = ? AND object_id = ?",
            (video_id, frame_index, newest.object_id),
        ).fetchone()
        # A track has no row in a frame that the model did not find it in.
        revision = 1 + (highest or 0)
        row = {
            "video_id": video_id,
            "frame_index": frame_index,
            "object_id": newest.object_id,
            "revision": revision,
            "source": HAND,
            "created": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "query_id": newest.query_id,
            "width": width,
            "height": height,
            "rle": encode_rle(mask)["counts"],
            "area_px": int(np.count_nonzero(mask)),
            "present": int(mask.any()),
        }
        box = bounding_box_xywh(mask)
        if box is not None:
            row |= zip(("box_x", "box_y", "box_w", "box_h"), box, strict=True)
        self._connection.execute(
            f"INSERT INTO annotations ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            tuple(row.values()),
        )
        return revision
