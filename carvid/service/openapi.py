"""The description of the routes, OpenAPI 3.1, made of the table that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from carvid import __version__
from carvid.service.endpoint import Content, Endpoint
from carvid.service.schemas import SCHEMAS, ref

_NO_TOKEN = "no token, or not this server's"
_ELSEWHERE = "the host or the origin is none of this server's"


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document, as plain data."""
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "carvid",
            "version": __version__,
            "description": "Masks for what phrases name, in images and videos.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: dict(schema) for name, schema in SCHEMAS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "any user; the password is the token",
                },
            },
        },
        "security": [{"bearer": []}, {"basic": []}],
    }


def _operation(one: Endpoint) -> dict[str, Any]:
    refused = {403: _ELSEWHERE, **({} if one.is_open else {401: _NO_TOKEN}), **one.refused}
    answers = {str(status): _content(content) for status, content in one.answers.items()}
    for status, when in sorted(refused.items()):
        answers[str(status)] = _content(Content(f"{HTTPStatus(status).phrase}: {when}", ref("Error")))
    operation: dict[str, Any] = {"summary": one.summary, "responses": answers}
    if one.parameters:
        operation["parameters"] = [
            {
                "name": each.name,
                "in": each.place,
                "description": each.help,
                "required": each.required,
                "schema": each.schema,
            }
            for each in one.parameters
        ]
    if one.body is not None:
        operation["requestBody"] = {"required": True, **_content(one.body)}
    if one.is_open:
        operation["security"] = []
    return operation


def _content(content: Content) -> dict[str, Any]:
    media = {} if content.schema is None else {"schema": content.schema}
    return {"description": content.help, "content": {kind: dict(media) for kind in content.kinds}}
