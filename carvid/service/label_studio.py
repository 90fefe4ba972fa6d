"""What Label Studio asks of an ML backend: predictions for tasks, as brush regions."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

import numpy as np
from numpy.typing import NDArray

from carvid import __version__
from carvid.errors import InputError, UsageError
from carvid.export.brush_rle import encode_brush_rle
from carvid.export.labelstudio import LOCAL_FILES
from carvid.recipe import Recipe
from carvid.result import FrameResult, ObjectResult
from carvid.serve.segment import ImageSegmenter
from carvid.service.label_config import Brush, read_brush
from carvid.service.media_folders import MediaFolders
from carvid.service.result_json import rounded
from carvid.service.sent_image import decode_image, read_sent_image

_VERSION_DIGITS = 8
_LOCAL_PATH = LOCAL_FILES.partition("?")[0]


def model_version(recipe: Recipe) -> str:
    """The same as long as the recipe asks for the same masks; Label Studio predicts again where it changes."""
    told = json.dumps([recipe.describe(), recipe.proposer, recipe.classifier, recipe.sam], default=str)
    return (
        f"carvid {__version__} {recipe.model} {hashlib.sha256(told.encode()).hexdigest()[:_VERSION_DIGITS]}"
    )


def predict(segmenter: ImageSegmenter, folders: MediaFolders, body: Mapping[str, Any]) -> dict[str, Any]:
    """Label Studio's answer for the tasks of a request: one prediction for each, in order.

    A task whose image cannot be read has `error`, with a sentence, which Label Studio writes to its log, instead of
    `result`. Raises InputError with the first sentence where that is every task, and UsageError for a request that
    cannot be used.
    """
    config, tasks = body.get("label_config"), body.get("tasks")
    if not isinstance(config, str):
        raise UsageError("the request has no label_config; expected the project's labelling configuration")
    if not isinstance(tasks, list) or not tasks:
        raise UsageError("the request has no tasks; expected a list of tasks with their data")
    brush, version = read_brush(config), model_version(segmenter.lent.recipe)
    found: list[dict[str, Any]] = []
    for place, task in enumerate(tasks):
        try:
            image = _image(folders, brush, task, place)
        except InputError as error:
            found.append({"error": str(error)})
            continue
        result = segmenter.segment(image, brush.labels)
        name = f"t{task['id']}" if isinstance(task.get("id"), int) else f"p{place}"
        found.append({**_prediction(brush, name, result), "model_version": version})
    if all("error" in one for one in found):
        raise InputError(found[0]["error"])
    return {"results": found}


def _prediction(brush: Brush, name: str, result: FrameResult) -> dict[str, Any]:
    shown = [one for one in result.objects if one.present and one.area_px]
    return {
        "result": [_region(brush, f"{name}o{one.id}", one) for one in shown],
        "score": min((rounded(one.score) for one in shown), default=0.0),
    }


def _region(brush: Brush, name: str, one: ObjectResult) -> dict[str, Any]:
    height, width = one.mask.shape
    return {
        "id": name,
        "type": "brushlabels",
        "from_name": brush.from_name,
        "to_name": brush.to_name,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": rounded(one.score),
        "value": {"format": "rle", "rle": encode_brush_rle(one.mask), "brushlabels": [one.query]},
    }


def _image(folders: MediaFolders, brush: Brush, task: Any, place: int) -> NDArray[np.uint8]:
    data = task.get("data") if isinstance(task, dict) else None
    address = data.get(brush.key) if isinstance(data, dict) else None
    if not isinstance(address, str):
        raise UsageError(f"task {place + 1} has no text {brush.key!r} in its data, which names its image")
    what = f"the image of task {task.get('id', place + 1)}"
    if address.startswith("data:"):
        return decode_image(_inline(address, what), what)
    try:
        parts = urlsplit(address)
        asked = parse_qs(parts.query).get("d", [])
    except ValueError as error:
        raise InputError(f"{what} has an address that cannot be read: {error}") from error
    if parts.path.rstrip("/").endswith(_LOCAL_PATH.rstrip("/")) and len(asked) == 1:
        return read_sent_image(folders.image(asked[0]), what)
    raise InputError(
        f"{what} is at {address[:80]!r}; this server fetches nothing from the network: expected a data: URI, or "
        f"{LOCAL_FILES}PATH with PATH below a folder that it was started with (--folder)"
    )


def _inline(address: str, what: str) -> bytes:
    head, comma, rest = address.partition(",")
    if not comma:
        raise InputError(f"{what} is a data: URI without data")
    try:
        data = unquote_to_bytes(rest)
        return base64.b64decode(data, validate=True) if head.endswith(";base64") else data
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InputError(f"{what} is a data: URI whose data is damaged: {error}") from error
