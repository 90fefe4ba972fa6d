"""Corrections by hand: masks that take the place of the model's, which stays in the dataset beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
from numpy.typing import NDArray

from carvid.errors import InputError, UsageError
from carvid.media.rle import Rle, box_of_rle, checked_runs, encode_rle
from carvid.store.opening import transaction
from carvid.store.schema import HAND, RESTORED
from carvid.store.seen import HandWriter, SeenMask, StoredMask, refuse_stale


@dataclass(frozen=True, eq=False)
class Change:
    """What takes the place of the mask that was seen.

    mask: (H, W) bool, or a run-length code, of the frame's size; an empty one says that the object is absent. None puts
        the model's own mask back, whatever that is by the time it is read.
    """

    seen: SeenMask
    mask: NDArray[np.bool_] | Rle | None


class Corrections(HandWriter):
    """Writes corrections into a dataset."""

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

        Raises as `correct_all`.
        """
        (revision,) = self.correct_all(
            video_id, [Change(SeenMask(frame_index, object_id, expected_revision), mask)]
        )
        return revision

    def correct_all(
        self, video_id: int, changes: Sequence[Change], *, labelling: int | None = None
    ) -> list[int]:
        """Make all changes or, if one of them cannot be made, none; returns the new revisions, in their order.

        labelling: `carvid.store.seen.labelling_of` when the masks were seen; None for whatever it is.
        Raises RelabelledError if it is another one now, StaleRevisionError if the newest revision of a mask is not the
        one that was seen, UsageError if there is no such object in such a labelled frame or a mask is not of its size,
        OutputError where the dataset cannot be written. Nothing is changed then.
        """
        created = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        # Before the transaction, in which nobody else can write.
        for change in changes:
            _check_code(change.mask, f"the mask for {change.seen.of(video_id)}")
        with transaction(self._connection, self._path):
            self._check_labelling(video_id, labelling)
            stored = refuse_stale(self._connection, video_id, [change.seen for change in changes])
            return [
                self._add(video_id, change, there, created)
                for change, there in zip(changes, stored, strict=True)
            ]

    def _add(self, video_id: int, change: Change, there: StoredMask, created: str) -> int:
        seen = change.seen
        size = there.height, there.width
        code = _code(change.mask, size, f"the mask for {seen.of(video_id)}")
        box, area_px = box_of_rle(code)
        # Above those too that are not read now, made when the object had another query or the frame another size.
        (highest,) = self._connection.execute(
            "SELECT max(revision) FROM annotations WHERE video_id = ? AND frame_index = ? AND object_id = ?",
            (video_id, seen.frame_index, seen.object_id),
        ).fetchone()
        # A track has no row in a frame that the model did not find it in.
        revision = 1 + (highest or 0)
        row = {
            "video_id": video_id,
            "frame_index": seen.frame_index,
            "object_id": seen.object_id,
            "revision": revision,
            "source": RESTORED if change.mask is None else HAND,
            "created": created,
            "query_id": there.query_id,
            "width": there.width,
            "height": there.height,
            "rle": code["counts"],
            "area_px": area_px,
            "present": int(area_px > 0),
        }
        if box is not None:
            row |= zip(("box_x", "box_y", "box_w", "box_h"), box, strict=True)
        self._connection.execute(
            f"INSERT INTO annotations ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            tuple(row.values()),
        )
        return revision


def _check_code(mask: NDArray[np.bool_] | Rle | None, what: str) -> None:
    """Raise UsageError for a run-length code that is damaged."""
    if mask is None or isinstance(mask, np.ndarray):
        return
    try:
        checked_runs(mask)
    except InputError as error:
        raise UsageError(f"{what} is damaged: {error}") from error


def _code(mask: NDArray[np.bool_] | Rle | None, size: tuple[int, int], what: str) -> Rle:
    """The mask's run-length code; an empty one for None. Raises UsageError unless it is of that size."""
    if mask is None:
        return encode_rle(np.zeros(size, np.bool_))
    if isinstance(mask, np.ndarray):
        if mask.dtype != np.bool_ or mask.shape != size:
            raise UsageError(f"{what} is {mask.dtype} of shape {mask.shape}; expected bool of shape {size}")
        return encode_rle(mask)
    if tuple(mask["size"]) != size:
        raise UsageError(f"{what} is of {tuple(mask['size'])} px; expected {size}")
    return mask
