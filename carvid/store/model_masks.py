"""The model's own masks as they stand in the database, whatever was corrected since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carvid.media.rle import Rle
from carvid.store.checks import COUNT, ID, NUMBER, SIDE_PX, TEXT, or_null, table
from carvid.store.database import Dataset
from carvid.store.rows import FrameRow

_COLUMNS = table(
    "annotations",
    object_id=ID,
    width=SIDE_PX,
    height=SIDE_PX,
    rle=TEXT,
    label_rle=or_null(TEXT),
    box_x=or_null(COUNT),
    box_y=or_null(COUNT),
    box_w=or_null(ID),
    box_h=or_null(ID),
    area_px=COUNT,
    score=or_null(NUMBER),
)


@dataclass(frozen=True)
class ModelMask:
    """One object's mask as the model gave it; fields as in `carvid.store.rows.Annotation`.

    box_xywh: None where the columns are NULL; area_px is as it stands, which need not agree with `rle`.
    """

    object_id: int
    rle: Rle
    label_rle: Rle
    box_xywh: list[int] | None
    area_px: int
    score: float | None


def model_masks(dataset: Dataset, video_id: int) -> Iterator[tuple[FrameRow, tuple[ModelMask, ...]]]:
    """The labelled frames of a video that is done, by index, each with the model's masks in it, by object."""
    for frame in dataset.frames(video_id):
        yield frame, masks_of_frame(dataset, frame)


def masks_of_frame(dataset: Dataset, frame: FrameRow) -> tuple[ModelMask, ...]:
    """The model's masks in a frame, by object. Raises InputError where the database is damaged."""
    rows = dataset.rows(
        _COLUMNS,
        "annotations WHERE video_id = ? AND frame_index = ? AND revision = 0 ORDER BY object_id",
        (frame.video_id, frame.frame_index),
    )
    return tuple(_mask(*row) for row in rows)


def _mask(
    object_id: int,
    width: int,
    height: int,
    counts: str,
    label_counts: str | None,
    *rest: float | None,
) -> ModelMask:
    *box, area_px, score = rest
    size = [height, width]
    sides = [int(side) for side in box if side is not None]
    return ModelMask(
        object_id=object_id,
        rle={"size": size, "counts": counts},
        label_rle={"size": size, "counts": counts if label_counts is None else label_counts},
        box_xywh=sides if len(sides) == len(box) else None,
        area_px=int(area_px or 0),
        score=score,
    )
