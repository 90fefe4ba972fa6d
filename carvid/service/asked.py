"""What a call asks for, read and checked: queries, theta, a job, a place in its results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from carvid.errors import UsageError
from carvid.service.jobs import JobRequest
from carvid.service.media_folders import MediaFolders
from carvid.stream.source import Selection
from carvid.wording import checked_queries

_JOB_KEYS = ("video", "queries", "start_frame", "stop_frame", "every")


def asked_theta(request: Request) -> float | None:
    """Raises UsageError for what is no number; its range is checked with the recipe."""
    told = request.query_params.get("theta")
    if told is None:
        return None
    try:
        return float(told)
    except ValueError as error:
        raise UsageError(f"theta is {told!r}; expected a number") from error


def asked_queries(request: Request) -> tuple[str, ...]:
    """Raises UsageError for none, and for those that cannot be used."""
    told = request.query_params.getlist("query")
    if not told:
        raise UsageError("no query: expected ?query=TEXT, once for each thing to find")
    return checked_queries(told)


def asked_job(body: Mapping[str, Any], folders: MediaFolders) -> JobRequest:
    """Raises UsageError for a request that cannot be used, NotFoundError for a video that is not there."""
    if unknown := sorted(set(body) - set(_JOB_KEYS)):
        raise UsageError(f"unknown {', '.join(map(repr, unknown))}; expected some of {', '.join(_JOB_KEYS)}")
    video, queries = body.get("video"), body.get("queries")
    if not isinstance(video, str):
        raise UsageError(f"video is {video!r}; expected an id from GET /v1/videos")
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise UsageError(f"queries is {queries!r}; expected a list of texts")
    stop = body.get("stop_frame")
    selection = Selection(
        _whole("start_frame", body.get("start_frame", 0)),
        None if stop is None else _whole("stop_frame", stop),
        _whole("every", body.get("every", 1)),
    )
    return JobRequest(folders.video(video), checked_queries(queries), selection)


def asked_place(request: Request) -> int:
    """How many results a reader has had, from the header Last-Event-ID. Raises UsageError for no such number."""
    told = request.headers.get("last-event-id", "0")
    if not (told.isascii() and told.isdecimal() and len(told) < 10):
        raise UsageError(f"Last-Event-ID is {told!r}; expected the id of an event")
    return int(told)


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}; expected a whole number")
    return value
