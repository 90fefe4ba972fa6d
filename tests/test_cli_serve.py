"""`carvid serve` as a real process: what it prints, refuses and survives."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.desk_cases import make_dataset
from tests.serving import Caller

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("serve"), count=1)


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """The process, its port and its token."""
    command = [sys.executable, "-m", "carvid", "serve", *map(str, arguments), "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/?(?:#token=(\S+))?", told)
        assert found, (told, process.communicate())
        yield process, int(found[1]), found[2] or ""
    finally:
        process.kill()
        process.communicate()


def refused(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-m", "carvid", "serve", *map(str, arguments), "--no-browser"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_it_answers_until_it_is_told_to_stop(dataset: Path) -> None:
    tokens = []
    for stop in (signal.SIGINT, signal.SIGINT):
        with serving(dataset) as (process, port, token):
            caller, bearer = Caller(port), {"Authorization": f"Bearer {token}"}
            assert caller.call("GET", "/").kind == "text/html"
            assert caller.call("GET", "/api/dataset", headers=bearer).json["videos"] == 1
            assert caller.call("GET", "/api/dataset").status == 401
            assert caller.call("GET", "/healthz").json["status"] == "ok"
            # Nobody but this machine can reach it.
            assert listens_on(port) == {"127.0.0.1"}
            process.send_signal(stop)
            _, said = process.communicate(timeout=30)
            assert (process.returncode, said) == (0, "carvid: Ctrl-C ends it\n")
        tokens.append(token)
    assert len(set(tokens)) == 2
    assert min(map(len, tokens)) >= 43


def listens_on(port: int) -> set[str]:
    """The addresses of this machine at which something listens on the port, out of the kernel's tables."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path("/proc/net", name).read_text().splitlines()[1:]:
            address, number = line.split()[1].split(":")
            if int(number, 16) == port and line.split()[3] == "0A":
                raw = bytes.fromhex(address)[::-1]
                found.add(socket.inet_ntop(socket.AF_INET, raw) if name == "tcp" else address)
    return found


def test_the_service_alone_with_a_token_of_ones_own(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one-token-of-my-own\n")
    with serving("--model", "shapes", "--device", "cpu", "--folder", tmp_path, "--token-file", token) as (
        _,
        port,
        _2,
    ):
        bearer = {"Authorization": "Bearer one-token-of-my-own"}
        assert Caller(port).call("GET", "/healthz").json["loaded"] is True
        assert Caller(port).call("GET", "/v1/videos", headers=bearer).status == 200
        assert Caller(port).call("GET", "/api/dataset", headers=bearer).status == 404


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "can be reached from other machines: give --token-file"),
        (["--host", "192.168.1.2"], 2, "can be reached from other machines: give --token-file"),
        (["--host", "0.0.0.0", "--token-file", "{token}"], 2, "say with --allow-host NAME:PORT"),
        (["--token-file", "{short}"], 2, "has 5 characters; expected at least 16"),
        (["--token-file", "{none}"], 3, "the token cannot be read from"),
        (["--port", "70000"], 2, "--port is 70000; expected 0 to 65535"),
        (["--port", "{taken}"], 2, "is in use; end what uses it, or give another --port"),
        (["--allow-host", "desk.example"], 2, "--allow-host is 'desk.example'; expected NAME:PORT"),
        (["--folder", "{none}"], 2, "none"),
    ],
)
def test_what_it_refuses(dataset: Path, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "token").write_text("a-token-that-is-long-enough")
    (tmp_path / "short").write_text("short")
    with socket.create_server(("127.0.0.1", 0)) as other:
        fill = {name: str(tmp_path / name) for name in ("token", "short", "none")}
        fill["taken"] = str(other.getsockname()[1])
        found = refused(dataset, *(each.format(**fill) for each in arguments))
    assert found[0] == code, found
    assert said in found[1]
    assert "Traceback" not in found[1]


def test_what_is_no_dataset_or_names_no_weights(tmp_path: Path) -> None:
    code, said = refused(tmp_path)
    assert (code, "holds no annotations.sqlite" in said) == (3, True)
    code, said = refused("--model", tmp_path / "nothing", "--offline")
    assert (code, "no such file or folder" in said) == (3, True)


def test_the_desk_starts_without_torch(dataset: Path) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "carvid",
        "serve",
        str(dataset),
        "--no-browser",
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    # It says more on standard error than a pipe holds.
    reader = threading.Thread(target=lines.extend, args=(process.stderr,))
    reader.start()
    assert process.stdout.readline().startswith("carvid: the desk is at ")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    reader.join()
    process.stdout.close()
    process.stderr.close()
    said = "".join(lines)
    modules = {
        line.rpartition("|")[2].strip() for line in said.splitlines() if line.startswith("import time:")
    }
    assert "carvid.desk.api" in modules
    assert modules & {"torch", "transformers", "scipy"} == set()


def test_no_acknowledged_edit_is_lost_when_it_is_killed() -> None:
    script = [sys.executable, str(ROOT / "scripts/fault_desk.py"), "--faults", "4", "--seed", "7"]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.fullmatch(r"4 kills, \d+ calls under way; (\d+) acknowledged edits, none lost\n", done.stdout)
    assert found, done.stdout
    assert int(found[1]) > 0
