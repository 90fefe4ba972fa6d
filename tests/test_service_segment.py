"""One image in, its objects out: in Python, over HTTP, and what is refused."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from carvid.errors import InputError, UsageError
from carvid.media.rle import decode_rle
from carvid.recipe import load_recipe
from carvid.serve.lent_model import LentModel
from carvid.serve.segment import ImageSegmenter
from carvid.service.jobs import Jobs
from carvid.service.routes import service_routes
from carvid.service.sent_image import MOST_PX, decode_image, read_sent_image
from tests.service_cases import ABSENT, BLUE, HEIGHT, RED, WIDTH, encoded, iou, scene, shapes_model
from tests.serving import Caller, served

PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def server() -> Iterator[Caller]:
    jobs = Jobs()
    with served(service_routes(shapes_model(), [], jobs)) as caller:
        yield caller
    jobs.close()


def asked(*queries: str, **more: str) -> str:
    parts = [f"query={quote(query)}" for query in queries] + [
        f"{name}={value}" for name, value in more.items()
    ]
    return "/v1/segment?" + "&".join(parts)


def claiming(width: int, height: int) -> bytes:
    """A PNG of some bytes that claims to be so large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_an_image_gives_one_object_for_each_query() -> None:
    drawn = scene()
    result = ImageSegmenter(shapes_model()).segment(drawn.image, [RED, BLUE, ABSENT])
    assert [one.query for one in result.objects] == [RED, BLUE, ABSENT]
    assert result.present.tolist() == [True, True, False]
    assert iou(result.masks[0], drawn.masks[0]) > 0.7
    assert iou(result.masks[1], drawn.masks[1]) > 0.7


def test_words_of_place_choose() -> None:
    image = scene().image
    two = np.concatenate([image[:, :80], image[:, :80]], axis=1)
    result = ImageSegmenter(shapes_model()).segment(two, ["the red circle on the left"])
    assert result.masks[0][:, :80].sum() > 500
    assert not result.masks[0][:, 80:].any()


def test_theta_decides_what_is_there() -> None:
    segmenter, image = ImageSegmenter(shapes_model()), scene().image
    assert segmenter.segment(image, [RED, ABSENT], 1.0).present.tolist() == [False, False]
    assert segmenter.segment(image, [RED, ABSENT], 0.0).present.tolist() == [True, True]
    # The lent model is as it was.
    assert segmenter.segment(image, [RED, ABSENT]).present.tolist() == [True, False]
    with pytest.raises(UsageError, match=r"theta is 2\.0"):
        segmenter.segment(image, [RED], 2.0)


def test_the_body_is_the_image_and_the_answer_its_objects(server: Caller) -> None:
    drawn = scene()
    answer = server.call("POST", asked(RED, ABSENT), encoded(drawn.image), PNG)
    assert (answer.status, answer.kind) == (200, "application/json")
    found = answer.json
    assert (found["width"], found["height"]) == (WIDTH, HEIGHT)
    red, absent = found["objects"]
    assert (red["id"], red["query"], red["present"]) == (1, RED, True)
    mask = decode_rle(red["segmentation"])
    assert iou(mask, drawn.masks[0]) > 0.7
    assert red["area_px"] == mask.sum()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert red["bbox"] == [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
    assert (absent["present"], absent["bbox"], absent["area_px"]) == (False, None, 0)
    assert absent["segmentation"]["size"] == [HEIGHT, WIDTH]
    assert 0 <= absent["score"] < 0.2 <= red["score"] <= 1


@pytest.mark.parametrize(("kind", "pillow"), [("image/jpeg", "JPEG"), ("image/webp", "WEBP")])
def test_other_formats(server: Caller, kind: str, pillow: str) -> None:
    answer = server.call(
        "POST", asked(RED), encoded(scene().image, pillow, quality=95), {"Content-Type": kind}
    )
    assert answer.status == 200
    assert answer.json["objects"][0]["present"]


def test_a_photo_on_its_side_is_turned(server: Caller) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.rot90(scene().image)
    answer = server.call("POST", asked(RED), encoded(stored, exif=exif), PNG)
    assert (answer.json["width"], answer.json["height"]) == (WIDTH, HEIGHT)
    assert iou(decode_rle(answer.json["objects"][0]["segmentation"]), scene().masks[0]) > 0.7


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("/v1/segment", b"", PNG, 400, "no query: expected ?query=TEXT"),
        ("/v1/segment?query=", b"", PNG, 400, "query 1 of 1 is empty"),
        (asked(RED, theta="much"), b"", PNG, 400, "theta is 'much'; expected a number"),
        (asked(RED, theta="nan"), encoded(scene().image), PNG, 400, "theta is nan"),
        (asked(RED), b"x", {}, 415, "content-type is not given; expected one of image/jpeg"),
        (asked(RED), b"x", {"Content-Type": "text/plain"}, 415, "content-type is text/plain"),
        (asked(RED), b"", PNG, 422, "cannot be read as an image"),
        (asked(RED), encoded(scene().image)[:500], PNG, 422, "cannot be read as an image"),
        (asked(RED), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", PNG, 422, "cannot be read"),
        (asked(RED), claiming(10_000, 5_001), PNG, 422, f"10000x5001 px; at most {MOST_PX} pixels"),
        (asked(RED), claiming(60_000, 60_000), PNG, 422, f"far too large; at most {MOST_PX} pixels"),
        (asked(RED), b"x", {**PNG, "Content-Length": str((64 << 20) + 1)}, 413, "longer than the 67108864"),
    ],
)
def test_what_is_refused(
    server: Caller, path: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = server.call("POST", path, body, headers)
    assert answer.status == status
    assert words in answer.json["error"]


def test_without_a_model_what_needs_one_says_so(tmp_path: Path) -> None:
    jobs = Jobs()
    with served(service_routes(None, [tmp_path], jobs)) as caller:
        for method, path, data in [
            ("POST", asked(RED), None),
            ("POST", "/v1/jobs", {"video": "x", "queries": [RED]}),
            ("GET", "/labelstudio/health", None),
            ("POST", "/labelstudio/setup", {}),
            ("POST", "/labelstudio/predict", {}),
        ]:
            answer = caller.call(method, path, data=data)
            assert answer.status == 503
            assert "started without a model" in answer.json["error"]
        assert caller.call("GET", "/healthz").json["model"] is None
        assert caller.call("GET", "/v1/videos").json == []
    jobs.close()


def test_health_tells_whether_the_weights_are_in_memory() -> None:
    lent, jobs = LentModel(load_recipe(model="shapes", device="cpu")), Jobs()
    with served(service_routes(lent, [], jobs)) as caller:
        before = caller.call("GET", "/healthz").json
        assert (before["status"], before["model"], before["loaded"]) == ("ok", "shapes", False)
        lent.get()
        assert caller.call("GET", "/healthz").json["loaded"]
    jobs.close()


def test_files_are_decoded_like_bodies(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene().image))
    assert (read_sent_image(path, "it") == scene().image).all()
    assert (decode_image(path.read_bytes(), "it") == scene().image).all()
    with pytest.raises(InputError, match="it cannot be read: No such file"):
        read_sent_image(tmp_path / "b.png", "it")


def test_a_grey_image_with_alpha_is_rgb() -> None:
    file = io.BytesIO()
    Image.fromarray(np.array([[[7, 255], [9, 0]]], np.uint8), "LA").save(file, "PNG")
    assert json.dumps(decode_image(file.getvalue(), "it").tolist()) == "[[[7, 7, 7], [9, 9, 9]]]"
