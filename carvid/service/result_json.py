"""A frame's result as plain data: boxes and masks as COCO has them."""

from __future__ import annotations

from typing import Any

from carvid.result import FrameResult, ObjectResult
from carvid.sinks.results import SCORE_DIGITS


def image_json(result: FrameResult) -> dict[str, Any]:
    """An image's objects, by ascending id."""
    height, width = result.label_map.shape
    return {"width": width, "height": height, "objects": [_object_json(one) for one in result.objects]}


def frame_json(result: FrameResult) -> dict[str, Any]:
    """`image_json` of a video's frame, with which frame it is."""
    return {
        "index": result.index,
        "pts_seconds": result.pts_seconds,
        "name": result.name,
        **image_json(result),
    }


def _object_json(one: ObjectResult) -> dict[str, Any]:
    box = one.box_xywh
    return {
        "id": one.id,
        "query": one.query,
        "score": rounded(one.score),
        "present": one.present,
        "bbox": None if box is None else list(box),
        "area_px": one.area_px,
        "segmentation": dict(one.rle),
    }


def rounded(score: float) -> float:
    return round(float(score), SCORE_DIGITS)
