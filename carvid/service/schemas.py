"""JSON schemas of what is taken and answered, by name; one refers to another by `ref`."""

from __future__ import annotations

from collections.abc import Mapping

from carvid.service.endpoint import Schema
from carvid.service.jobs import STATES

COUNT: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def a_list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def an_object(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_IMAGE: Mapping[str, Schema] = {"width": COUNT, "height": COUNT, "objects": a_list(ref("Object"))}
_JOB: Mapping[str, Schema] = {
    "id": TEXT,
    "state": {"enum": list(STATES)},
    "video": TEXT,
    "queries": a_list(TEXT),
    "start_frame": COUNT,
    "stop_frame": or_null(COUNT),
    "every": {"type": "integer", "minimum": 1},
    "frames": {**COUNT, "description": "how many results there are so far"},
    "frames_expected": or_null(COUNT),
    "damage": {**a_list(TEXT), "description": "frames that could not be decoded, once the job is done"},
    "error": or_null(TEXT),
}

SCHEMAS: Mapping[str, Schema] = {
    "Error": {
        "type": "object",
        "properties": {"error": {**TEXT, "description": "a sentence: what was found and what was expected"}},
        "required": ["error"],
    },
    "Health": an_object(
        {
            "status": {"const": "ok"},
            "version": TEXT,
            "model": or_null(TEXT),
            "loaded": {"type": "boolean", "description": "whether the model's weights are in memory"},
        }
    ),
    "Rle": {
        **an_object({"size": {**a_list(COUNT), "minItems": 2, "maxItems": 2}, "counts": TEXT}),
        "description": "COCO's compressed run-length code; size is [height, width]",
    },
    "Object": an_object(
        {
            "id": {"type": "integer", "minimum": 1},
            "query": TEXT,
            "score": SHARE,
            "present": {"type": "boolean"},
            "bbox": {
                **or_null({**a_list(COUNT), "minItems": 4, "maxItems": 4}),
                "description": "[x, y, width, height] in px; null where the mask is empty",
            },
            "area_px": COUNT,
            "segmentation": ref("Rle"),
        }
    ),
    "Image": an_object(_IMAGE),
    "Frame": an_object({"index": COUNT, "pts_seconds": or_null({"type": "number"}), "name": TEXT, **_IMAGE}),
    "Video": an_object({"id": TEXT, "folder": TEXT, "path": TEXT}),
    "JobRequest": an_object(
        {
            "video": {**TEXT, "description": "an id from GET /v1/videos"},
            "queries": {**a_list(TEXT), "minItems": 1},
            "start_frame": {**COUNT, "default": 0},
            "stop_frame": or_null(COUNT),
            "every": {"type": "integer", "minimum": 1, "default": 1},
        },
        optional=("start_frame", "stop_frame", "every"),
    ),
    "Job": an_object(_JOB),
    "Dropped": an_object({"id": TEXT, "state": {"enum": ["cancelled", "forgotten"]}}),
    "LabelStudioHealth": an_object({"status": {"const": "UP"}, "model_class": TEXT}),
    "LabelStudioSetup": {"type": "object", "properties": {"schema": TEXT}},
    "LabelStudioModel": an_object({"model_version": TEXT}),
    "LabelStudioVersions": an_object({"versions": a_list(TEXT)}),
    "LabelStudioRequest": {
        "type": "object",
        "properties": {"label_config": TEXT, "tasks": {**a_list({"type": "object"}), "minItems": 1}},
        "required": ["label_config", "tasks"],
    },
    "LabelStudioRegion": an_object(
        {
            "id": TEXT,
            "type": {"const": "brushlabels"},
            "from_name": TEXT,
            "to_name": TEXT,
            "original_width": COUNT,
            "original_height": COUNT,
            "image_rotation": {"const": 0},
            "score": SHARE,
            "value": an_object(
                {
                    "format": {"const": "rle"},
                    "rle": a_list({"type": "integer", "minimum": 0, "maximum": 255}),
                    "brushlabels": a_list(TEXT),
                }
            ),
        }
    ),
    "LabelStudioPredictions": an_object(
        {
            "results": a_list(
                {
                    "anyOf": [
                        an_object(
                            {
                                "result": a_list(ref("LabelStudioRegion")),
                                "score": SHARE,
                                "model_version": TEXT,
                            }
                        ),
                        ref("Error"),
                    ]
                }
            )
        }
    ),
    "LabelStudioIgnored": an_object({"status": {"const": "ignored"}}),
}
