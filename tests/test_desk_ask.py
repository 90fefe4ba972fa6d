"""Asking again, with the embedded model and a small random SAM, over drawn clips."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from carvid.measures.pair import iou
from carvid.media.rle import decode_rle
from carvid.recipe import load_recipe
from carvid.serve.lent_model import LentModel
from carvid.shapes.scenes import moving_clip
from tests.desk_cases import TOKEN, DeskCaller, open_desk, shapes_with_sam
from tests.labelled import Labelled, write_dataset
from tests.media import write_video

COUNT = 6
PATH = "/api/videos/1/asks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled every second frame; the first object is called by another name than the model knows it by."""
    folder = tmp_path_factory.mktemp("ask")
    scenes = list(moving_clip(3, COUNT, 240, 426))
    path = write_video(folder / "a.mp4", [scene.image for scene in scenes])
    empty = np.zeros((COUNT // 2, 1, 240, 426), np.bool_)
    write_dataset(folder / "dataset", [Labelled("a.mp4", path, ("a thing",), empty)], every=2)
    return folder


@pytest.fixture(scope="module")
def desk(folder: Path) -> Iterator[DeskCaller]:
    with open_desk(folder / "dataset", LentModel(shapes_with_sam(folder / "sam"))) as opened:
        yield opened


def lines(desk: DeskCaller, sent: dict[str, object]) -> list[dict[str, object]]:
    answer = desk.post(PATH, sent)
    assert (answer.status, answer.kind) == (200, "application/x-ndjson"), answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


def test_another_phrase_finds_the_thing_in_the_labelled_frames(desk: DeskCaller) -> None:
    assert desk.get("/api/dataset").json["ask"] == {"model": "shapes", "theta": 0.2}
    scenes = list(moving_clip(3, COUNT, 240, 426))
    car = [thing.name for thing in scenes[0].things].index("red fish")
    sent = {"object": 1, "query": "the red fish", "theta": None, "first": 0, "last": COUNT}
    *rows, end = lines(desk, sent)
    assert [row["frame"] for row in rows] == [0, 2, 4]
    assert end == {"end": "last", "frame": 4}
    for row in rows:
        assert row["present"] is True
        assert row["revision"] == 0
        assert iou(decode_rle(row["rle"]), scenes[row["frame"]].masks[car]) > 0.7  # type: ignore[arg-type,index]
    *surer, _ = lines(desk, {**sent, "theta": 1.0, "first": 2, "last": 2})
    assert [(row["frame"], row["present"]) for row in surer] == [(2, False)]
    assert not decode_rle(surer[0]["rle"]).any()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"query": ""}, 400, "quer"),
        ({"query": 3}, 400, "query is 3; expected a phrase"),
        ({"theta": "high"}, 400, "theta is 'high'; expected a number"),
        ({"theta": 3}, 400, "theta"),
        ({"theta": 10**400}, 400, "expected a number"),
        ({"first": 4, "last": 2}, 400, "the last frame, 2, comes before the first one, 4"),
        ({"object": 7}, 404, "video 1 has no object 7"),
        ({"first": 3, "last": 3}, 400, "no frame from 3 to 3 of video 1 is labelled"),
        ({"last": None}, 400, "last is None; expected a whole number"),
    ],
)
def test_what_cannot_be_asked(desk: DeskCaller, change: dict[str, object], status: int, said: str) -> None:
    answer = desk.post(PATH, {"object": 1, "query": "a cat", "theta": None, "first": 0, "last": 4} | change)
    assert (answer.status, said in answer.json["error"]) == (status, True), answer.json


def test_a_caller_who_goes_away_gives_the_model_back(desk: DeskCaller) -> None:
    lent = desk.desk.lent
    assert lent is not None
    sent = json.dumps({"object": 1, "query": "the red fish", "theta": None, "first": 0, "last": COUNT})
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{desk.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Origin: {desk.origin}\r\nContent-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n{sent}"
    )
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", desk.port), timeout=60) as raw:
            raw.sendall(head.encode())
            assert raw.recv(12) == b"HTTP/1.1 200"
        assert lent.turn.acquire(timeout=60)
        lent.turn.release()
    for _ in range(600):
        if not any(thread.name.startswith("carvid-lines") for thread in threading.enumerate()):
            break
        time.sleep(0.1)
    else:
        pytest.fail("a thread is left")


def test_without_a_model_or_a_sam_it_is_told(folder: Path) -> None:
    point = {"frame": 0, "points": [{"x": 3, "y": 4, "inside": True}]}
    asked = {"object": 1, "query": "a cat", "theta": None, "first": 0, "last": 4}
    with open_desk(folder / "dataset") as desk:
        for path, sent in ((PATH, asked), ("/api/videos/1/clicks", point)):
            answer = desk.post(path, sent)
            assert (answer.status, "--model" in answer.json["error"]) == (503, True)
    with open_desk(folder / "dataset", LentModel(load_recipe(model="shapes", device="cpu"))) as desk:
        answer = desk.post("/api/videos/1/clicks", point)
        assert (answer.status, "--sam" in answer.json["error"]) == (503, True)
    nowhere = LentModel(
        load_recipe("default", proposer=str(folder / "none"), classifier="clip", offline=True)
    )
    with open_desk(folder / "dataset", nowhere) as desk:
        assert desk.post(PATH, asked).status in (400, 503)


def test_a_click_is_answered_with_a_mask(desk: DeskCaller) -> None:
    path = "/api/videos/1/clicks"
    answer = desk.post(path, {"frame": 3, "points": [{"x": 200.5, "y": 100}]})
    assert answer.status == 200, answer.json
    assert answer.json["rle"]["size"] == [240, 426]
    decode_rle(answer.json["rle"])
    assert 0 <= answer.json["score"] <= 1
    for points, said in (
        ([{"x": 1, "y": 2, "inside": False}], "no point lies inside the mask"),
        ([{"x": 999, "y": 2}], "the point (999, 2) lies outside the picture of 426x240 px"),
        ([{"x": "1", "y": 2}], "x is '1'; expected a number"),
        ([{"x": 10**400, "y": 2}], "expected a number"),
        ([{"x": 1, "y": 2, "inside": 1}], "inside is 1; expected true or false"),
        ([], "expected a list of at least one object"),
    ):
        refused = desk.post(path, {"frame": 3, "points": points})
        assert (refused.status, said in refused.json["error"]) == (400, True), refused.json
