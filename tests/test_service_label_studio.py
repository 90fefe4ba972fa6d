"""Label Studio's calls, with the JSON that its ml/api_connector.py sends, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from carvid.errors import UsageError
from carvid.recipe import load_recipe
from carvid.service.jobs import Jobs
from carvid.service.label_config import Brush, read_brush
from carvid.service.label_studio import model_version
from carvid.service.routes import service_routes
from tests.export_readers import read_brush_rle
from tests.service_cases import ABSENT, BLUE, HEIGHT, RED, WIDTH, encoded, iou, scene, shapes_model
from tests.serving import Answer, Caller, data_uri, served

# As in Label Studio's template "Semantic Segmentation with Masks".
CONFIG = f"""<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="tag" toName="image">
    <Label value="{RED}" background="rgba(255, 0, 0, 0.7)"/>
    <Label value="{ABSENT}" background="rgba(0, 0, 255, 0.7)" alias="star"/>
  </BrushLabels>
</View>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "media" / "my images").mkdir(parents=True)
    (tmp_path / "media" / "my images" / "a.png").write_bytes(encoded(scene().image))
    (tmp_path / "secret.png").write_bytes(encoded(scene().image))
    return tmp_path / "media"


@pytest.fixture
def server(folder: Path) -> Iterator[Caller]:
    jobs = Jobs()
    with served(service_routes(shapes_model(), [folder], jobs)) as caller:
        yield caller
    jobs.close()


def predicted(server: Caller, *images: str, config: str = CONFIG) -> Answer:
    tasks = [
        {"id": 7 + i, "project": 3, "data": {"image": image}, "annotations": [], "predictions": []}
        for i, image in enumerate(images)
    ]
    params = {"login": None, "password": None, "context": None}
    data = {"tasks": tasks, "project": "3.1700000000", "label_config": config, "params": params}
    return server.call("POST", "/labelstudio/predict", data=data)


def local(path: str) -> str:
    return "/data/local-files/?d=" + quote(path)


def test_a_project_is_connected(server: Caller) -> None:
    assert server.call("GET", "/labelstudio/health").json == {"status": "UP", "model_class": "carvid"}
    setup = {
        "project": "3.1700000000",
        "schema": CONFIG,
        "hostname": "http://localhost:8080",
        "access_token": "abc",
        "extra_params": None,
    }
    version = server.call("POST", "/labelstudio/setup", data=setup).json["model_version"]
    assert version == model_version(shapes_model().recipe)
    assert server.call("GET", "/labelstudio/versions").json == {"versions": [version]}


def test_labels_become_brush_regions(server: Caller) -> None:
    answer = predicted(server, data_uri(encoded(scene().image)))
    assert answer.status == 200
    (found,) = answer.json["results"]
    assert found["model_version"] == model_version(shapes_model().recipe)
    (region,) = found["result"]
    rle = region["value"].pop("rle")
    score = region.pop("score")
    assert region == {
        "id": "t7o1",
        "type": "brushlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {"format": "rle", "brushlabels": [RED]},
    }
    assert found["score"] == score > 0.2
    assert iou(read_brush_rle(rle, HEIGHT, WIDTH), scene().masks[0]) > 0.7


@pytest.mark.parametrize("before", ["", "http://localhost:8080", "https://studio.example.org/below"])
def test_local_files_are_read_below_the_folders(server: Caller, before: str) -> None:
    (found,) = predicted(server, before + local("my images/a.png")).json["results"]
    assert [region["value"]["brushlabels"] for region in found["result"]] == [[RED]]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (
            "https://example.org/a.png",
            "fetches nothing from the network: expected a data: URI, or /data/local-files",
        ),
        ("/data/upload/3/a.png", "fetches nothing from the network"),
        ("file:///etc/passwd", "fetches nothing from the network"),
        ("http://[", "has an address that cannot be read"),
        (local("../secret.png"), "is no image below a folder"),
        (local("/etc/passwd"), "is no image below a folder"),
        (local("none.png"), "there is no image 'none.png' in the folders"),
        ("data:image/png", "a data: URI without data"),
        ("data:image/png;base64,%%%", "whose data is damaged"),
        ("data:image/png;base64,\ud800", "whose data is damaged"),
        ("data:image/png,\ud800", "whose data is damaged"),
        ("data:image/png,abc", "the image of task 7 cannot be read as an image"),
    ],
)
def test_images_that_are_refused(server: Caller, image: str, words: str) -> None:
    answer = predicted(server, image)
    assert answer.status == 422
    assert words in answer.json["error"]
    # Beside a good one, the others are predicted: Label Studio logs what has no result.
    good, bad = predicted(server, data_uri(encoded(scene().image)), image).json["results"]
    assert len(good["result"]) == 1
    assert list(bad) == ["error"]


def test_nothing_found_is_an_empty_prediction(server: Caller) -> None:
    config = CONFIG.replace(RED, ABSENT)
    (found,) = predicted(server, data_uri(encoded(scene().image)), config=config).json["results"]
    assert (found["result"], found["score"]) == ([], 0.0)


def test_training_is_refused_and_other_news_ignored(server: Caller) -> None:
    answer = server.call("POST", "/labelstudio/webhook", data={"action": "START_TRAINING", "project": {}})
    assert (answer.status, answer.json["error"][:21]) == (400, "carvid is not trained")
    answer = server.call("POST", "/labelstudio/webhook", data={"action": "TASKS_CREATED"})
    assert answer.json == {"status": "ignored"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "has no label_config"),
        ({"label_config": CONFIG}, "has no tasks"),
        ({"label_config": CONFIG, "tasks": []}, "has no tasks"),
        ({"label_config": CONFIG, "tasks": [{"id": 1}]}, "task 1 has no text 'image' in its data"),
        ({"label_config": CONFIG, "tasks": ["x"]}, "task 1 has no text 'image' in its data"),
    ],
)
def test_requests_that_cannot_be_used(server: Caller, data: dict[str, Any], words: str) -> None:
    answer = server.call("POST", "/labelstudio/predict", data=data)
    assert answer.status == 400
    assert words in answer.json["error"]


def test_a_configuration_is_read() -> None:
    assert read_brush(CONFIG) == Brush("tag", "image", "image", (RED, ABSENT))
    nested = (
        '<View><View style="a"><Image name="photo" value="$url"/></View>'
        '<RectangleLabels name="box" toName="photo"><Label value="x"/></RectangleLabels>'
        f'<BrushLabels name="mask" toName="photo"><View><Label value="{BLUE}"/></View></BrushLabels></View>'
    )
    assert read_brush(nested) == Brush("mask", "photo", "url", (BLUE,))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View/>", "no BrushLabels whose toName is an Image"),
        ("<View>", "is no XML"),
        ("", "is no XML"),
        ("<View>\0</View>", "is no XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "has a document type or entities"),
        (CONFIG.replace('toName="image"', 'toName="audio"'), "no BrushLabels whose toName is an Image"),
        (CONFIG.replace(f'value="{RED}"', ""), "has no Label, or one without a value"),
        (CONFIG.replace("$image", "https://example.org/a.png"), "expected \\$ and the key"),
    ],
)
def test_configurations_that_are_refused(config: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_brush(config)


def test_the_version_changes_with_what_decides_the_masks() -> None:
    recipe = load_recipe(model="shapes", device="cpu")
    assert model_version(recipe) == model_version(load_recipe(model="shapes", device="auto"))
    assert model_version(recipe) != model_version(replace(recipe, theta=0.5))
    assert model_version(recipe).startswith("carvid 0.1.0 shapes ")
