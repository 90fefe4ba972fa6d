"""One label per pixel, for the formats that hold label maps: the one place where overlaps are settled.

A pixel that several queries claim goes to the one that responds most there, as in `FrameResult.label_map`;
the dataset keeps that part of each mask as `Annotation.label_rle`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.store.database import Annotation, FrameRow, Query, Video


def label_map(
    frame: FrameRow, annotations: Sequence[Annotation], labels: Mapping[int, int]
) -> NDArray[np.uint8]:
    """The label map of a frame.

    labels: query id -> label in [1, 255]; queries without one leave no trace.
    Returns (H, W) uint8, 0 for background.
    Raises InputError if a run-length code is damaged.
    """
    found = np.zeros((frame.height, frame.width), np.uint8)
    for annotation in annotations:
        if annotation.area_px and annotation.query_id in labels:
            found[annotation.label_mask()] = labels[annotation.query_id]
    return found


def has_label_pixels(annotation: Annotation) -> bool:
    """Whether any pixel of the mask is left to the query in a label map."""
    if annotation.label_rle is annotation.rle:
        return annotation.area_px > 0
    return annotation.area_px > 0 and bool(annotation.label_mask().any())


def check_fits(video: Video, queries: Sequence[Query], most: int) -> None:
    """Raise UsageError if a video has more queries than the format's label maps tell apart."""
    if len(queries) > most:
        raise UsageError(
            f"video {video.id} has {len(queries)} queries; the format's 8-bit label maps hold {most}: choose "
            "a format that keeps masks apart (coco, masks)"
        )
