"""The desk's calls over real videos: what is shown, what is written, and who is let in."""

from __future__ import annotations

import base64
import io
import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.routing import Route

from carvid.desk.api import desk_routes
from carvid.media.rle import decode_rle
from carvid.service.routes import service_routes
from carvid.store.database import open_dataset
from tests.desk_cases import FRAMES, HEIGHT, TOKEN, WIDTH, DeskCaller, change, make_dataset, open_desk, square
from tests.serving import Caller

NOTHING = square(0) & False


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[DeskCaller]:
    with open_desk(make_dataset(tmp_path)) as opened:
        yield opened


def test_what_the_page_shows(desk: DeskCaller) -> None:
    facts = desk.get("/api/dataset").json
    assert (facts["name"], facts["videos"], facts["theta"]) == ("dataset", 2, 0.3)
    assert (facts["ask"], facts["click"]) == (None, False)
    first, second = desk.get("/api/videos").json["videos"]
    none = {"accepted": 0, "corrected": 0, "rejected": 0, "skipped": 0}
    assert first == {
        "id": 1, "path": "1.mp4", "status": "done", "error": None, "frames": FRAMES, "objects": 2, "masks": 60,
        "reviewed": none, "ranked": False,
    }  # fmt: skip
    assert second["id"] == 2
    video = desk.get("/api/videos/2").json
    assert (video["width"], video["height"], video["frame_rate"]) == (WIDTH, HEIGHT, 25.0)
    assert video["frames"] == list(range(FRAMES))
    assert video["seconds"][:3] == [0, 0.04, 0.08]
    assert video["objects"] == [
        {"id": 1, "query": "the square", "is_track": False},
        {"id": 2, "query": "a dog", "is_track": False},
    ]
    car, dog = desk.get("/api/videos/1/frames/7/masks").json["objects"]
    np.testing.assert_array_equal(decode_rle(car["rle"]), square(7))
    assert (car["object"], car["revision"], car["source"], car["verdict"]) == (1, 0, "model", None)
    assert (dog["object"], dog["area_px"], dog["present"]) == (2, 0, False)


def test_frames_are_exact_in_any_order(desk: DeskCaller) -> None:
    order = [0, 1, 2, 9, 10, 29, 28, 27, 3, 26, 5, 4, 29, 0, 15, 14, 16]
    for index in order:
        answer = desk.get(f"/api/videos/1/frames/{index}")
        assert answer.kind == "image/jpeg"
        image = np.asarray(Image.open(io.BytesIO(answer.body)))
        assert image.shape == (HEIGHT, WIDTH, 3)
        # The corner's grey level is eight times the frame's index.
        assert round(float(image[2:6, 2:6].mean()) / 8) == index
    assert desk.get("/api/videos/1/frames/30").status == 404


def test_a_correction_is_written_and_shown(desk: DeskCaller) -> None:
    path = "/api/videos/1/corrections"
    answer = desk.post(path, {"changes": [change(20, square(20)), change(21, NOTHING, number=2)]})
    assert answer.status == 200
    assert answer.json == {
        "changes": [{"frame": 20, "object": 1, "revision": 1}, {"frame": 21, "object": 2, "revision": 1}]
    }
    (found, _) = desk.get("/api/videos/1/frames/20/masks").json["objects"]
    assert (found["revision"], found["source"], found["score"]) == (1, "hand", None)
    np.testing.assert_array_equal(decode_rle(found["rle"]), square(20))
    marks = desk.get("/api/videos/1/timeline").json["objects"]
    assert marks[0]["review"] == "." * 20 + "c" + "." * 9
    assert marks[0]["scores"][19:22] == [0.9, None, 0.9]
    assert marks[1]["present"] == "0" * FRAMES
    assert desk.get("/api/videos").json["videos"][0]["reviewed"]["corrected"] == 2
    restored = desk.post(path, {"changes": [change(20, None, revision=1)]})
    assert restored.json["changes"][0]["revision"] == 2
    (again, _) = desk.get("/api/videos/1/frames/20/masks").json["objects"]
    assert (again["revision"], again["source"], again["score"]) == (2, "model", 0.9)


def test_a_stale_write_changes_nothing_and_shows_what_is_there(desk: DeskCaller) -> None:
    path = "/api/videos/1/corrections"
    desk.post(path, {"changes": [change(4, square(9))]})
    answer = desk.post(path, {"changes": [change(3, NOTHING), change(4, NOTHING)]})
    assert answer.status == 409
    assert "object 1 in frame 4 of video 1 is at revision 1, not 0" in answer.json["error"]
    (conflict,) = answer.json["conflicts"]
    assert (conflict["frame"], conflict["current"]["revision"]) == (4, 1)
    np.testing.assert_array_equal(decode_rle(conflict["current"]["rle"]), square(9))
    assert desk.get("/api/videos/1/frames/3/masks").json["objects"][0]["revision"] == 0
    stale = desk.post(
        "/api/videos/1/verdicts", {"verdict": "accepted", "masks": [{"frame": 4, "object": 1, "revision": 0}]}
    )
    assert stale.status == 409
    assert stale.json["conflicts"][0]["current"]["revision"] == 1


def test_verdicts_and_progress(desk: DeskCaller) -> None:
    path = "/api/videos/1/verdicts"
    masks = [{"frame": 0, "object": 1, "revision": 0}, {"frame": 0, "object": 2, "revision": 0}]
    assert desk.post(path, {"verdict": "accepted", "masks": masks}).json == {"masks": 2}
    assert desk.post(path, {"verdict": "rejected", "object": 2, "first": 5, "last": 9}).json == {"masks": 5}
    assert desk.get("/api/videos/1/unreviewed").json == {"video": 1, "frame": 1, "object": 1}
    assert desk.get("/api/videos/1/unreviewed?frame=4&object=1").json == {"video": 1, "frame": 4, "object": 2}
    assert desk.get("/api/videos/1/unreviewed?frame=29&object=2").json == {
        "video": 2,
        "frame": 0,
        "object": 1,
    }
    assert desk.get("/api/videos/2/unreviewed?frame=29&object=2").json == {
        "video": 1,
        "frame": 1,
        "object": 1,
    }
    nines = "9" * 5000
    assert desk.get(f"/api/videos/1/unreviewed?frame={nines}&object=1").status == 404
    assert desk.post(path, {"verdict": None, "masks": masks[:1]}).json == {"masks": 1}
    assert desk.get("/api/videos/1/frames/0/masks").json["objects"][1]["verdict"] == "accepted"
    first = desk.get("/api/progress").json["videos"][0]
    assert (first["video"], first["path"]) == (1, "1.mp4")
    square_, dog = first["queries"]
    assert (square_["query"], square_["masks"], square_["unreviewed"]) == ("the square", 30, 30)
    assert (dog["accepted"], dog["rejected"], dog["unreviewed"]) == (1, 5, 24)
    everything = {"verdict": "accepted", "object": 1, "first": 0, "last": 29}
    for video in (1, 2):
        for number in (1, 2):
            desk.post(f"/api/videos/{video}/verdicts", {**everything, "object": number})
    assert desk.get("/api/videos/1/unreviewed").json is None


def test_the_worst_masks_come_first_until_they_are_reviewed(desk: DeskCaller) -> None:
    worst = desk.get("/api/videos/1/worst").json["frames"]
    assert (worst[0]["frame"], worst[0]["object"]) == (20, 1)
    assert desk.get("/api/videos").json["videos"][0]["ranked"]
    everywhere = desk.get("/api/worst").json
    assert (everywhere["ranked"], everywhere["videos"]) == (1, 2)
    assert everywhere["frames"][0] == {"video": 1, **worst[0]}
    desk.post("/api/videos/1/corrections", {"changes": [change(20, square(20))]})
    after = desk.get("/api/videos/1/worst").json["frames"]
    assert (20, 1) not in {(row["frame"], row["object"]) for row in after}
    # The frames beside it looked bad only for its sake.
    assert after[0]["suspicion"] < worst[0]["suspicion"] / 4


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/videos/9", "video 9 is not labelled: there is none with that id"),
        ("/api/videos/x", "'x' is no id of a video"),
        ("/api/videos/-1", "'-1' is no id of a video"),
        ("/api/videos/99999999999999", "is no id of a video"),
        ("/api/videos/1/frames/77/masks", "frame 77 of video 1 is not labelled"),
        ("/api/videos/1/frames/99", "has no frame 99"),
        ("/api/nothing", "Not Found"),
        ("/page/api.py", "there is no 'api.py' here"),
        ("/page/..%2Fapi.py", "Not Found"),
        ("/page/%2e%2e", "there is no"),
    ],
)
def test_what_is_not_there(desk: DeskCaller, path: str, said: str) -> None:
    answer = desk.get(path)
    assert (answer.status, said in answer.json["error"]) == (404, True), answer.json


CHANGE = change(3, square(3))
CORRECTIONS, VERDICTS = "/api/videos/1/corrections", "/api/videos/1/verdicts"
PROPAGATIONS = "/api/videos/1/propagations"


@pytest.mark.parametrize(
    ("path", "sent", "said"),
    [
        (CORRECTIONS, {}, "changes is None; expected a list of at least one object"),
        (CORRECTIONS, {"changes": []}, "changes is []"),
        (CORRECTIONS, {"changes": [3]}, "changes is [3]"),
        (CORRECTIONS, {"changes": [{**CHANGE, "frame": "3"}]}, "frame is '3'; expected a whole number"),
        (CORRECTIONS, {"changes": [{**CHANGE, "frame": -3}]}, "frame is -3; expected a whole number"),
        (CORRECTIONS, {"changes": [{**CHANGE, "object": True}]}, "object is True; expected a whole number"),
        (CORRECTIONS, {"changes": [{**CHANGE, "revision": 1.5}]}, "revision is 1.5; expected a whole number"),
        (CORRECTIONS, {"changes": [{**CHANGE, "frame": 10**20}]}, "expected a whole number"),
        (CORRECTIONS, {"changes": [{**CHANGE, "rle": [1]}]}, 'rle is [1]; expected {"size"'),
        (CORRECTIONS, {"changes": [{**CHANGE, "rle": {"size": [48, 64], "counts": "!"}}]}, "is damaged"),
        (CORRECTIONS, {"changes": [{**CHANGE, "rle": {"size": [4, 6], "counts": "h0"}}]}, "expected (48, 64)"),
        (CORRECTIONS, {"changes": [{**CHANGE, "object": 5}]}, "there is no object 5 in frame 3 of video 1"),
        (CORRECTIONS, {"changes": [CHANGE, CHANGE]}, "there twice"),
        (VERDICTS, {"verdict": "good", "masks": [CHANGE]}, "expected one of accepted, rejected, skipped"),
        (VERDICTS, {"verdict": 3, "masks": [CHANGE]}, "verdict is 3; expected a text or null"),
        (VERDICTS, {"verdict": None, "object": 1, "first": 3}, "last is None"),
        (CORRECTIONS, {"changes": [{**CHANGE, "rle": {"size": [48, 64], "counts": "o" * 10**6}}]}, "longer than any"),
        (CORRECTIONS, {"changes": [CHANGE], "labelling": "1"}, "labelling is '1'; expected a whole number"),
        (VERDICTS, {"verdict": None, "object": 1, "first": 9, "last": 3}, "the last frame, 3, comes before the first"),
        (PROPAGATIONS, {"frame": 3, "object": 1, "direction": "forward", "last": 1}, "does not lie forward of frame 3"),
        (PROPAGATIONS, {"frame": 3, "object": 1, "direction": "x" * 5000}, "xxx...; expected one of forward, backward"),
        (VERDICTS, {"verdict": None, "object": 1, "first": 90, "last": 99}, "no object 1 in frames 90 to 99"),
        (PROPAGATIONS, {"frame": 3, "object": 1, "direction": "up"}, "direction is 'up'; expected one of forward"),
        (PROPAGATIONS, {"frame": 3, "object": 2, "direction": "forward"}, "object 2 has no mask in frame 3"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_told(desk: DeskCaller, path: str, sent: Any, said: str) -> None:
    answer = desk.post(path, sent)
    assert answer.status == 400
    assert said in answer.json["error"], answer.json
    with open_dataset(desk.desk.dataset) as dataset:
        assert dataset.corrected(1) == 0


def every_route(desk: DeskCaller) -> list[tuple[str, str]]:
    """Each method and path that is served, its ids filled in."""
    routes: list[Route] = [*service_routes(None, []), *desk_routes(desk.desk)]
    fill = {"video": "1", "frame": "3", "name": "main.js", "id": "x"}
    found = []
    for route in routes:
        path = route.path
        for name, value in fill.items():
            path = path.replace(f"{{{name}}}", value)
        assert "{" not in path, f"{route.path}: no value for its parameter here"
        methods = (route.methods or set()) - {"HEAD"}
        found += [(method, path) for method in sorted(methods)]
    return found


OPEN = {"/", "/healthz", "/page/main.js"}


def test_every_route_refuses_who_may_not_call(desk: DeskCaller) -> None:
    """Every route x {no token, bad token, bad Host, bad Origin}; what may be read by anyone is named above."""
    good = {"Authorization": f"Bearer {TOKEN}", "Origin": desk.origin, "Content-Type": "application/json"}
    basic = "Basic " + "dXNlcjp3cm9uZw=="  # user:wrong
    seen = set()
    for method, path in every_route(desk):
        unsafe = method not in ("GET", "HEAD")

        def status(changes: dict[str, str | None], method: str = method, path: str = path) -> int:
            headers = {name: value for name, value in {**good, **changes}.items() if value is not None}
            return Caller(desk.port).call(method, path, b"{}" if method != "GET" else None, headers).status

        closed = path not in OPEN
        for wrong in (
            None,
            "Bearer wrong",
            "Bearer ",
            "Bearer " + TOKEN[:-1],
            f"Token {TOKEN}",
            basic,
            "Basic !",
        ):
            expected = 401 if closed else 200
            assert status({"Authorization": wrong}) == expected, (method, path, wrong)
        for host in (
            "evil.example",
            "127.0.0.1",
            f"127.0.0.1:{desk.port + 1}",
            f"evil.example:{desk.port}",
            "",
        ):
            assert status({"Host": host}) == 403, (method, path, host)
        if unsafe:
            for origin in (
                "http://evil.example",
                "null",
                f"http://127.0.0.1:{desk.port + 1}",
                "http://127.0.0.1",
            ):
                assert status({"Origin": origin}) == 403, (method, path, origin)
            # A call without an origin is no browser's; the page's own routes are for browsers alone.
            assert (status({"Origin": None}) == 403) == path.startswith("/api/"), (method, path)
        assert status({}) not in (401, 403), (method, path)
        seen.add(path)
    assert {"/api/videos/1/corrections", "/v1/segment", "/labelstudio/predict", *OPEN} <= seen


def test_other_methods_are_refused(desk: DeskCaller) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": desk.origin}
    for method, path in (
        ("PUT", "/api/dataset"),
        ("DELETE", "/api/videos/1"),
        ("POST", "/"),
        ("GET", CORRECTIONS),
    ):
        assert Caller(desk.port).call(method, path, headers=headers).status == 405, (method, path)


def test_the_right_password_of_basic_authentication_is_the_token(desk: DeskCaller) -> None:
    password = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    assert (
        Caller(desk.port).call("GET", "/api/dataset", headers={"Authorization": f"Basic {password}"}).status
        == 200
    )


def test_a_body_of_another_type_or_no_json_is_told(desk: DeskCaller) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": desk.origin}
    for method, path in every_route(desk):
        if method != "POST" or not path.startswith("/api/"):
            continue
        kind = {**headers, "Content-Type": "text/plain"}
        assert Caller(desk.port).call(method, path, b"{}", kind).status == 415, path
        kind["Content-Type"] = "application/json; charset=utf-8"
        for body in (b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000):
            answer = Caller(desk.port).call(method, path, body, kind)
            assert answer.status == 400, (path, body[:9])
            assert answer.json["error"].startswith("the body is "), path


def test_a_body_that_is_too_long_is_refused_before_it_is_read(desk: DeskCaller) -> None:
    for method, path in every_route(desk):
        if method != "POST" or not path.startswith("/api/"):
            continue
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{desk.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Origin: {desk.origin}\r\nContent-Type: application/json\r\nContent-Length: {10**12}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", desk.port), timeout=20) as raw:
            raw.sendall(head.encode())
            assert raw.recv(1000).startswith(b"HTTP/1.1 413 "), path
    # One that does not say how long it is, is cut off on the way.
    connection = HTTPConnection("127.0.0.1", desk.port, timeout=20)
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": desk.origin, "Content-Type": "application/json"}
    chunk = b" " * (1 << 18)
    connection.request("POST", PROPAGATIONS, iter([chunk] * 5), headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert "longer than the 1048576 bytes" in json.loads(answer.read())["error"]
    connection.close()


def test_every_answer_keeps_a_browser_in_bounds(desk: DeskCaller) -> None:
    paths = (("/", ""), ("/api/dataset", TOKEN), ("/api/dataset", "wrong"), ("/nothing", TOKEN))
    for path, token in (*paths, ("/api/videos/1/frames/3", TOKEN)):
        with Caller(desk.port).opened("GET", path, headers={"Authorization": f"Bearer {token}"}) as response:
            headers = response.headers
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in headers
