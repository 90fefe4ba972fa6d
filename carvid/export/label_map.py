"""One label per pixel, for the formats that hold label maps.

The dataset settles overlaps: the pixels of an object in a label map are those of `Annotation.label_rle`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.export.exporter import Tally
from carvid.store.rows import Annotation, FrameRow, Video, VideoObject


def label_map(
    frame: FrameRow, annotations: Sequence[Annotation], labels: Mapping[int, int]
) -> NDArray[np.uint8]:
    """The label map of a frame.

    labels: object id -> label in [1, 255]; objects without one are left out.
    Returns (H, W) uint8, 0 for background.
    Raises InputError if a run-length code is damaged.
    """
    found = np.zeros((frame.height, frame.width), np.uint8)
    for annotation in annotations:
        if annotation.area_px and annotation.object_id in labels:
            found[annotation.label_mask()] = labels[annotation.object_id]
    return found


def has_label_pixels(annotation: Annotation) -> bool:
    """Whether the object has any pixel in a label map."""
    if annotation.label_rle is annotation.rle:
        return annotation.area_px > 0
    return annotation.area_px > 0 and bool(annotation.label_mask().any())


def check_fits(video: Video, objects: Sequence[VideoObject], most: int) -> None:
    """Raise UsageError if a video has more objects than the format's label maps tell apart."""
    if len(objects) > most:
        raise UsageError(
            f"video {video.id} has {len(objects)} objects; the format's 8-bit label maps hold {most}: choose "
            "a format that keeps masks apart (coco, masks)"
        )


def note_unseen(video: Video, objects: Sequence[VideoObject], seen: Set[int], tally: Tally) -> None:
    """Note and count the objects that no frame of the video shows. seen: the ids of the others."""
    for each in objects:
        if each.id not in seen:
            tally.left_out_objects += 1
            # A query may have other tracks, which are shown.
            what = f"object {each.id} of {each.query.text!r}" if each.is_track else repr(each.query.text)
            tally.note(f"video {video.id}: no frame shows {what}; it is no object of the export")
