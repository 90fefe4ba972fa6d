"""Who may call: an exact list of hosts, a token, and the right origin where something could be changed."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carvid.serve.answers import json_answer

_SAFE = ("GET", "HEAD", "OPTIONS")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(frozen=True)
class Doors:
    """What a call must show.

    hosts: what the Host header may be, with the port, such as 127.0.0.1:8765. The origins are these, over http or,
        where something before the server ends TLS, https.
    token: as a Bearer token, or as the password of Basic authentication.
    needs_no_token: whether a path is open to whoever may reach the server.
    needs_origin: whether a path is only the page's, so that a call which could change something must say where it comes
        from; elsewhere a call that is no browser's, which says nothing, is let in by its token.
    """

    hosts: frozenset[str]
    token: str
    needs_no_token: Callable[[str], bool]
    needs_origin: Callable[[str], bool]

    def refusal(self, method: str, path: str, headers: Headers) -> Response | None:
        """Why a call may not come in; None if it may."""
        host = headers.get("host", "")
        if host.lower() not in self.hosts:
            return _refused(
                403, f"this is not the host {host[:100]!r}; expected one of {', '.join(sorted(self.hosts))}"
            )
        if method not in _SAFE and (why := self._foreign(path, headers.get("origin"))):
            return _refused(403, why)
        if not self.needs_no_token(path) and not self._has_token(headers.get("authorization", "")):
            refused = _refused(
                401, "no valid token; open the address that `carvid serve` printed, or send its token"
            )
            refused.headers["www-authenticate"] = "Bearer"
            return refused
        return None

    def _foreign(self, path: str, origin: str | None) -> str | None:
        if origin is None:
            return "the call does not say its origin" if self.needs_origin(path) else None
        if origin.lower() in {f"{scheme}://{host}" for scheme in ("http", "https") for host in self.hosts}:
            return None
        return f"calls from {origin[:100]!r} are refused: this server's own pages alone may change something"

    def _has_token(self, shown: str) -> bool:
        kind, _, value = shown.partition(" ")
        given = value.strip()
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode("utf-8").partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif kind.lower() != "bearer":
            return False
        # Takes as long for every wrong token, so that none can be found letter by letter.
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self.token.encode())


class Guard:
    """Lets calls through that `doors` lets in, and gives every answer the headers that keep a browser in bounds."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors = app, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refused = self._doors.refusal(scope["method"], scope["path"], Headers(scope=scope))
        await (self._app if refused is None else refused)(scope, receive, send_with_headers)


def _refused(status: int, why: str) -> Response:
    return json_answer({"error": why}, status)
