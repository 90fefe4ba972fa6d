"""Reading what a call sends, and answering it: JSON, lines of JSON, and an error as a status with a sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from carvid.errors import CarvidError, InputError, OutputError, UsageError, WeightsError
from carvid.media.json_text import load_json

MOST_BYTES = 1 << 20
"""How long a body may be where a route does not say otherwise."""

MOST_AT_ONCE = 8
"""So many calls may wait for the model: each keeps a thread and its body meanwhile."""


class NotFoundError(UsageError):
    """Nothing has this id (status 404)."""


class ConflictError(UsageError):
    """Something is not as it was when the caller saw it (status 409). details: what the answer says of it, as JSON."""

    def __init__(self, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.details = details


_STATUS: tuple[tuple[type[CarvidError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (UsageError, 400),
    (WeightsError, 503),
    (InputError, 422),
    (OutputError, 507),
)


def json_answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Plain data as JSON."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A path that is not UTF-8 is written in JSON's own escapes.
    body = text.encode("utf-8", "backslashreplace")
    return Response(body, status, dict(headers or {}), "application/json")


class LinesResponse(StreamingResponse):
    """Items as lines of JSON, each sent when it is there. An error on the way is a last line `{"error": sentence}`.

    The first item is made at once, so that what is refused raises here and has a status of its own. All items are made
    on one thread, since what they are made with (a database, a model's turn) may belong to it, and there it is given
    back, also where the caller goes away.
    """

    def __init__(self, items: Generator[Any, None, None]) -> None:
        self._items = items
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="carvid-lines")
        try:
            first = self._thread.submit(next, items, None).result()
        except BaseException:
            self._end()
            raise
        super().__init__(self._lines(first), media_type="application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()

    async def _lines(self, item: Any) -> AsyncIterator[bytes]:
        try:
            while item is not None:
                yield _line(item)
                item = await asyncio.wrap_future(self._thread.submit(next, self._items, None))
        except CarvidError as error:
            yield _line({"error": str(error)})

    def _end(self) -> None:
        """What is being made is finished first; nobody waits for it."""
        self._thread.submit(self._items.close)
        self._thread.shutdown(wait=False)


def error_answer(error: CarvidError) -> Response:
    """The error's sentence, with the status of its kind."""
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 500)
    details = error.details if isinstance(error, ConflictError) else {}
    return json_answer({"error": str(error), **details}, status)


async def read_body(request: Request, most: int = MOST_BYTES) -> bytes:
    """The body. Raises HTTPException 413 as soon as it is longer than `most` bytes."""
    told = request.headers.get("content-length", "0")
    parts, length = [], 0
    if not told.isdecimal() or int(told) > most:
        raise _too_long(most)
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise _too_long(most)
        parts.append(part)
    return b"".join(parts)


async def read_json(request: Request, most: int = MOST_BYTES) -> Mapping[str, Any]:
    """The body, a JSON object.

    Raises HTTPException 415 for another type, 413 as `read_body`; UsageError for what is no such JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(
            415, f"the body's content-type is {kind or 'not given'}; expected application/json"
        )
    body = await read_body(request, most)
    try:
        found = load_json(body.decode("utf-8"))
    except ValueError as error:
        raise UsageError(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"the body is a JSON {type(found).__name__}; expected an object")
    return found


class AtOnce:
    """At most so many calls that wait for the model; a context manager, shared by the calls."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._most, self._now, self._lock = most, 0, Lock()

    def __enter__(self) -> None:
        """Raises HTTPException 429 where as many are waiting already."""
        with self._lock:
            if self._now >= self._most:
                raise HTTPException(
                    429, f"{self._most} calls are waiting for the model already; try again in a while"
                )
            self._now += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._now -= 1


async def answered(work: Callable[..., Any], *values: Any) -> Response:
    """What `work` returns for these values, run on a thread; plain data becomes JSON."""
    found = await run_in_threadpool(work, *values)
    return found if isinstance(found, Response) else json_answer(found)


def _line(item: Any) -> bytes:
    return (
        json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        + b"\n"
    )


def _too_long(most: int) -> HTTPException:
    return HTTPException(413, f"the body is longer than the {most} bytes that this takes")
