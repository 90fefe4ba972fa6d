"""The server: one application on one port of this machine, until it is told to stop."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from carvid.errors import CarvidError, InputError, OutputError, UsageError
from carvid.serve.answers import error_answer, json_answer
from carvid.serve.guard import Doors, Guard

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_USUAL_PORTS = ("80", "443")

_SHORTEST_TOKEN = 16
_OPEN_PATHS = ("/", "/healthz")


@dataclass(frozen=True)
class Address:
    """Where the server listens; made by `address_of`.

    host: as it was given. ip: what it stands for. port: 0 takes any that is free. allowed: names, each with a port, by
        which others reach this machine.
    """

    host: str
    ip: IPv4Address | IPv6Address
    port: int
    allowed: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self.ip.is_loopback

    def hosts(self, port: int) -> frozenset[str]:
        """The values of the Host header that are answered. Browsers leave out the usual ports."""
        own = {self.host, *(_LOOPBACK if self.is_local else ())}
        named = {f"{_in_url(name)}:{port}" for name in own} | set(self.allowed)
        bare = {name.rpartition(":")[0] for name in named if name.rpartition(":")[2] in _USUAL_PORTS}
        return frozenset(name.lower() for name in named | bare)


def address_of(host: str, port: int, allowed: Sequence[str] = ()) -> Address:
    """Raises UsageError for a host that has no address."""
    try:
        # Without a name, every address of this machine would be meant.
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except (OSError, UnicodeError) as error:
        raise UsageError(f"the host {host!r} has no address: {error}") from error
    if not found:
        raise UsageError("no host is named; leave it out, and only this machine can reach the server")
    return Address(host, ip_address(str(found[0][4][0]).partition("%")[0]), port, tuple(allowed))


def new_token() -> str:
    return secrets.token_urlsafe(32)


def read_token(path: Path) -> str:
    """The token in a file. Raises InputError where it cannot be read, UsageError for one that is too short."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the token cannot be read from {path}: {error}") from error
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise UsageError(
            f"the token in {path} has {len(token)} characters; expected at least {_SHORTEST_TOKEN}, without spaces; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def listen(address: Address) -> socket.socket:
    """A socket at the address. Raises UsageError where the port is taken, OutputError where it cannot be had."""
    family = socket.AF_INET6 if address.ip.version == 6 else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((str(address.ip), address.port))
        found.listen(128)
    except (OSError, OverflowError) as error:
        found.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"port {address.port} of {address.host} is in use; end what uses it, or give another --port"
            ) from error
        raise OutputError(f"cannot listen on {address.host}:{address.port}: {error}") from error
    return found


def application(routes: Sequence[BaseRoute], hosts: frozenset[str], token: str) -> Starlette:
    """The application of these routes, behind the guard."""
    doors = Doors(
        hosts=hosts,
        token=token,
        needs_no_token=lambda path: path in _OPEN_PATHS or path.startswith("/page/"),
        needs_origin=lambda path: path.startswith("/api/"),
    )
    return Starlette(
        routes=list(routes),
        middleware=[Middleware(Guard, doors=doors)],
        exception_handlers={CarvidError: _told, HTTPException: _told_http},
    )


class _Server(uvicorn.Server):
    """Tells `leaving` when it begins to stop, so that answers without an end come to one."""

    def __init__(self, config: uvicorn.Config, leaving: Callable[[], None]) -> None:
        super().__init__(config)
        self._leaving = leaving

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leaving()
        await super().shutdown(sockets)


def serve(app: Starlette, listening: socket.socket, leaving: Callable[[], None] = lambda: None) -> None:
    """Answer until SIGINT or SIGTERM; what was begun is finished first. leaving: is called when it begins to stop."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=3,
    )
    with closing(listening):
        _Server(config, leaving).run(sockets=[listening])


def url_of(listening: socket.socket, host: str) -> str:
    return f"http://{_in_url(host)}:{listening.getsockname()[1]}"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, CarvidError)
    return error_answer(error)


async def _told_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_answer({"error": error.detail}, error.status_code, error.headers)
