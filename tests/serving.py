"""A server in this process, and short calls to it."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from carvid.errors import CarvidError
from carvid.serve.answers import error_answer, json_answer


@dataclass(frozen=True)
class Answer:
    """What came back. json: of a body that is JSON."""

    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Caller:
    """Calls a server on this machine."""

    port: int

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        data: Any = None,
    ) -> Answer:
        """data: sent as JSON."""
        sent = dict(headers or {})
        if data is not None:
            body, sent["Content-Type"] = json.dumps(data).encode(), "application/json"
        with self.opened(method, path, body, sent) as response:
            return Answer(response.status, response.headers.get_content_type(), response.read())

    @contextmanager
    def opened(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[HTTPResponse]:
        """An answer that is read while it comes."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()


@contextmanager
def running(app: Starlette, listening: socket.socket) -> Iterator[None]:
    """The application answers at a socket that listens."""
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="error", lifespan="off", ws="none", server_header=False)
    )
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def served(routes: Sequence[BaseRoute]) -> Iterator[Caller]:
    """The routes on a free port of 127.0.0.1, with the errors as `carvid serve` answers them."""

    def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, CarvidError):
            return error_answer(error)
        assert isinstance(error, HTTPException)
        return json_answer({"error": error.detail}, error.status_code)

    app = Starlette(routes=list(routes), exception_handlers={CarvidError: refused, HTTPException: refused})
    listening = socket.create_server(("127.0.0.1", 0))
    with running(app, listening):
        yield Caller(listening.getsockname()[1])


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: str
    name: str
    data: Any


def read_events(lines: Iterator[bytes]) -> Iterator[Event]:
    """The events of a stream, as the HTML standard reads them; comments are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode().rstrip("\n")
        if not text:
            if "data" in fields:
                yield Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}
        elif not text.startswith(":"):
            name, _, value = text.partition(": ")
            fields[name] = value


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
