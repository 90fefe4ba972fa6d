"""One route as data: what it takes, what it answers, and what handles it. Routes and their description come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

Schema = Mapping[str, Any]

JSON = "application/json"


@dataclass(frozen=True)
class Parameter:
    """A value beside the body. place: path, query or header."""

    name: str
    place: str
    help: str
    schema: Schema
    required: bool = False


@dataclass(frozen=True)
class Content:
    """A body or an answer. kinds: its media types. schema: of its JSON; None for what is no JSON."""

    help: str
    schema: Schema | None
    kinds: tuple[str, ...] = (JSON,)


@dataclass(frozen=True)
class Endpoint:
    """A method at a path. answers: by status. refused: the statuses of errors, each with when it comes."""

    method: str
    path: str
    summary: str
    handler: Callable[[Request], Awaitable[Response]]
    answers: Mapping[int, Content]
    refused: Mapping[int, str] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    body: Content | None = None
    is_open: bool = False
