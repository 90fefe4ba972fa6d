"""Where the server listens, and which hosts and origins it answers to."""

from __future__ import annotations

import socket

import pytest
from starlette.datastructures import Headers

from carvid.errors import UsageError
from carvid.serve.guard import Doors
from carvid.serve.server import address_of, listen, url_of

LOCAL = {"127.0.0.1:8765", "localhost:8765", "[::1]:8765"}


@pytest.mark.parametrize(
    ("host", "port", "allowed", "hosts"),
    [
        ("127.0.0.1", 8765, (), LOCAL),
        ("localhost", 8765, (), LOCAL),
        ("LOCALHOST", 8765, (), LOCAL),
        ("::1", 8765, (), LOCAL),
        (
            "127.0.0.1",
            80,
            (),
            {f"{name}{port}" for name in ("127.0.0.1", "localhost", "[::1]") for port in ("", ":80")},
        ),
        ("0.0.0.0", 9, ("Desk.example.org:9",), {"0.0.0.0:9", "desk.example.org:9"}),
        # Browsers leave out the port where it is the usual one, as behind a server that does TLS.
        ("0.0.0.0", 9, ("desk.example.org:443",), {"0.0.0.0:9", "desk.example.org:443", "desk.example.org"}),
    ],
)
def test_the_hosts_that_are_answered(host: str, port: int, allowed: tuple[str, ...], hosts: set[str]) -> None:
    address = address_of(host, port, allowed)
    assert address.hosts(port) == hosts
    assert address.is_local == (host != "0.0.0.0")


@pytest.mark.parametrize("host", ["", "no.such.host.invalid", "a" * 300])
def test_a_host_without_an_address(host: str) -> None:
    with pytest.raises(UsageError, match=r"no host is named|has no address"):
        address_of(host, 8765)


@pytest.mark.parametrize("host", ["0", "0.0.0.0", "::"])
def test_a_host_that_means_every_address(host: str) -> None:
    assert address_of(host, 8765).ip.is_unspecified


def test_the_address_that_is_told_is_where_it_listens() -> None:
    for host in ("127.0.0.1", "localhost"):
        with listen(address_of(host, 0)) as listening:
            url = url_of(listening, host)
            assert url == f"http://{host}:{listening.getsockname()[1]}"
            with socket.create_connection((host, listening.getsockname()[1]), timeout=5):
                pass


def test_behind_a_server_that_does_tls() -> None:
    hosts = address_of("127.0.0.1", 8765, ("desk.example.org:443",)).hosts(8765)
    doors = Doors(hosts, "the-token", lambda path: False, lambda path: True)

    def status(host: str, origin: str) -> int | None:
        headers = Headers({"host": host, "origin": origin, "authorization": "Bearer the-token"})
        refused = doors.refusal("POST", "/api/x", headers)
        return None if refused is None else refused.status_code

    assert status("desk.example.org", "https://desk.example.org") is None
    assert status("desk.example.org:443", "https://desk.example.org") is None
    assert status("desk.example.org", "https://evil.example.org") == 403
    assert status("evil.example.org", "https://desk.example.org") == 403
