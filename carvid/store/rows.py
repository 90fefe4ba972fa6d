"""The rows of a dataset: what each holds, and what its columns may hold."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from carvid.evidence import FrameOrigin
from carvid.media.rle import Rle, decode_rle
from carvid.store.checks import COUNT, ID, NUMBER, PATH, SIDE_PX, TEXT, one_of, or_null, table
from carvid.store.schema import HAND, MODEL, RESTORED
from carvid.stream.source import Damage
from carvid.workers.states import DONE, FAILED, RUNNING, WAITING


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
    """What a query refers to in a video. A query may have several objects, and none if they are tracks.

    id: from 1, within the video. is_track: whether it is in the database in those frames alone that it is in.
    """

    id: int
    query: Query
    is_track: bool = False


@dataclass(frozen=True)
class FrameRow:
    """A labelled frame; fields as `carvid.frame.Frame`, width and height in px; origin as in `FrameResult`."""

    video_id: int
    frame_index: int
    name: str
    pts_seconds: float | None
    width: int
    height: int
    origin: FrameOrigin | None = None


@dataclass(frozen=True)
class Annotation:
    """The newest mask of one object in one frame; present or not, there is one for every object of the video.

    A track that is not in the frame has an empty mask, revision 0 and no score.

    revision: 0 for the model's; what was changed by hand is 1, 2, ...: corrections, and the model's mask where it was
        put back. source: "model" or "hand".
    created: when a correction was made, in UTC, as ISO 8601; None for the model's.
    rle: the object's own mask, which may overlap another's; empty where the object is absent.
    label_rle: the part of it that is this object's alone: where its query responds most
        (`FrameResult.label_map`), and with corrections as `carvid.store.overlaps.settle` has it. The parts of
        a frame's objects do not overlap.
    box_xywh: in px, x and y from the top left corner; None for an empty mask.
    score: the query's last score P_t^{ii}, in [0, 1], or a track's own; None for a correction.
    present: whether the query survived with score >= theta; of a correction, whether the mask is not empty.
    proposal_iou: IoU of the proposal cut at eta with the mask, in [0, 1]; None where both are empty, for a
        correction, for a track, and for a mask that was carried from other frames.
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


# In the order of the fields of the classes above.
VIDEO_COLUMNS = table(
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
DAMAGE_COLUMNS = table("damage", first_frame=COUNT, last_frame=or_null(COUNT), reason=TEXT)
QUERY_COLUMNS = table("queries", id=ID, text=TEXT)
FRAME_COLUMNS = table(
    "frames",
    video_id=ID,
    frame_index=COUNT,
    name=TEXT,
    pts_seconds=or_null(NUMBER),
    width=SIDE_PX,
    height=SIDE_PX,
    is_key=or_null(COUNT),
    confidence=or_null(NUMBER),
    keys=or_null(TEXT),
)
ANNOTATION_COLUMNS = table(
    "annotations",
    object_id=ID,
    query_id=ID,
    revision=COUNT,
    source=one_of(MODEL, HAND, RESTORED),
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
