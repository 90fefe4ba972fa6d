"""`FrameResult`, the output of a segmenter for one frame: its objects and their label map, query by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from carvid.evidence import Evidence, FrameOrigin, WordsRecord

if TYPE_CHECKING:
    import PIL.Image

    from carvid.media.rle import Rle


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """One object in one frame.

    id: the object's number in its video, from 1; also its label in the label map.
    query: the query it answers.
    mask: (H, W) bool; may overlap another object's mask.
    score: how sure the engine is that the object is in the frame, in [0, 1].
    present: whether the engine says it is. If not, the mask is empty unless the recipe sets `keep_best`.
    """

    id: int
    query: str
    mask: NDArray[np.bool_]
    score: float
    present: bool

    @property
    def area_px(self) -> int:
        """Number of pixels in the mask."""
        return int(np.count_nonzero(self.mask))

    @property
    def box_xywh(self) -> tuple[int, int, int, int] | None:
        """The mask's bounding box (x, y, width, height) in px from its top left corner; None for an empty mask."""
        from carvid.media.rle import bounding_box_xywh

        box = bounding_box_xywh(self.mask)
        return None if box is None else (box[0], box[1], box[2], box[3])

    @property
    def rle(self) -> Rle:
        """The mask as COCO's compressed run-length encoding."""
        from carvid.media.rle import encode_rle

        return encode_rle(self.mask)


@dataclass(frozen=True)
class QueryVerdict:
    """What the engine says of one query in one frame.

    query: its text.
    score: how sure the engine is that what it refers to is in the frame, in [0, 1].
    present: whether the engine says it is.
    """

    query: str
    score: float
    present: bool


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The objects of one frame.

    index, pts_seconds, name: those of its `Frame`.
    label_map: (H, W) uint8: at each pixel the id of the object that responds most, 0 for background.
    objects: by ascending id. An engine without instances gives one object per query, in the order of the queries.
        One with instances gives the tracks that are in the frame, any number per query; a track keeps its id through
        the video.
    evidence: how the masks came about; None where the engine is not CLIP as RNN.
    verdicts: what the engine says of each query, in the caller's order, where `objects` are tracks; None where they
        are one per query. `queries` is right for both.
    origin: which frames the masks come from; None where the engine is run on every frame.
    words: for each query what became of its words, in the caller's order, None for one whose words are all the
        engine's; None where no query is read for words.
    """

    index: int
    pts_seconds: float | None
    name: str
    label_map: NDArray[np.uint8]
    objects: tuple[ObjectResult, ...]
    evidence: Evidence | None = None
    verdicts: tuple[QueryVerdict, ...] | None = None
    origin: FrameOrigin | None = None
    words: tuple[WordsRecord | None, ...] | None = None

    @property
    def has_tracks(self) -> bool:
        """Whether `objects` are tracks: any number per query, of which a frame holds those that are in it."""
        return self.verdicts is not None

    @cached_property
    def queries(self) -> tuple[QueryVerdict, ...]:
        """What the engine says of each query, in the caller's order."""
        if self.verdicts is not None:
            return self.verdicts
        return tuple(
            QueryVerdict(one.query, float(score), one.present)
            for one, score in zip(self.objects, self.scores, strict=True)
        )

    @cached_property
    def query_masks(self) -> NDArray[np.bool_]:
        """(Q, H, W) bool: for each of `queries` the union of its objects' masks."""
        if self.verdicts is None:
            return self.masks
        union = self.masks_by_query
        empty = np.zeros((0, *self.label_map.shape), np.bool_)
        return np.stack([union[one.query] for one in self.verdicts]) if self.verdicts else empty

    @property
    def query_map(self) -> NDArray[np.uint8]:
        """(H, W) uint8: the label map with each object's label replaced by its query's place in `queries`, from 1.

        Of a query given twice it is the first place.
        """
        if self.verdicts is None:
            return self.label_map
        texts = [one.query for one in self.verdicts]
        places = np.zeros(256, np.uint8)
        for one in self.objects:
            places[one.id] = texts.index(one.query) + 1
        return places[self.label_map]

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) bool: the masks, in the order of `objects`."""
        empty = np.zeros((0, *self.label_map.shape), np.bool_)
        return np.stack([one.mask for one in self.objects]) if self.objects else empty

    @cached_property
    def scores(self) -> NDArray[np.float32]:
        """(N,) float32 in [0, 1]: the scores, in the order of `objects`."""
        return np.array([one.score for one in self.objects], np.float32)

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(N,) bool: which objects are present, in the order of `objects`."""
        return np.array([one.present for one in self.objects], np.bool_)

    @property
    def masks_by_query(self) -> Mapping[str, NDArray[np.bool_]]:
        """For each query, (H, W) bool: the union of its objects' masks."""
        merged: dict[str, NDArray[np.bool_]] = {}
        for verdict in self.verdicts or ():
            merged[verdict.query] = np.zeros(self.label_map.shape, np.bool_)
        for one in self.objects:
            before = merged.get(one.query)
            merged[one.query] = one.mask if before is None else before | one.mask
        return merged

    def to_supervision(self) -> Any:
        """The present objects that have a mask, as `supervision.Detections`.

        tracker_id is the object's id, class_id numbers the distinct queries from 0, and data["class_name"] holds
        their texts. Raises ImportError where the package `supervision` is not installed.
        """
        import supervision

        there = [one for one in self.objects if one.present and one.box_xywh is not None]
        if not there:
            return supervision.Detections.empty()
        names = list(dict.fromkeys(one.query for one in self.queries))
        masks = np.stack([one.mask for one in there])
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(masks).astype(np.float32),
            mask=masks,
            confidence=np.array([one.score for one in there], np.float32),
            class_id=np.array([names.index(one.query) for one in there]),
            tracker_id=np.array([one.id for one in there]),
            data={"class_name": np.array([one.query for one in there])},
        )

    def plot(self, image: NDArray[np.uint8]) -> PIL.Image.Image:
        """A copy of the frame's image (H, W, 3) uint8 RGB with the masks in colour over it, as in the overlay."""
        from PIL import Image

        from carvid.media.paint import paint_labels

        return Image.fromarray(paint_labels(image, self.label_map))
