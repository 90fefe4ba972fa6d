"""The description says what is served: every route, and real answers of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from carvid.service.jobs import Jobs
from carvid.service.routes import service_routes
from tests.service_cases import ABSENT, RED, encoded, scene, shapes_model, write_clip
from tests.serving import Answer, Caller, data_uri, read_events, served

CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
    f'<Label value="{RED}"/></BrushLabels></View>'
)


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Route]]:
    folder = tmp_path_factory.mktemp("videos")
    write_clip(folder / "clip.mp4", 2)
    jobs = Jobs()
    yield service_routes(shapes_model(), [folder], jobs)
    jobs.close()


@pytest.fixture(scope="module")
def server(routes: list[Route]) -> Iterator[Caller]:
    with served(routes) as caller:
        yield caller


@pytest.fixture(scope="module")
def document(server: Caller) -> dict[str, Any]:
    found: dict[str, Any] = server.call("GET", "/openapi.json").json
    return found


def check(document: dict[str, Any], schema: dict[str, Any], data: Any) -> None:
    """Raise where the data is not as a schema of the document says."""
    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(data)


def checked(document: dict[str, Any], method: str, path: str, answer: Answer) -> Any:
    told = document["paths"][path][method.lower()]["responses"][str(answer.status)]["content"]
    check(document, told[answer.kind]["schema"], answer.json)
    return answer.json


def test_every_route_is_described_and_nothing_else(routes: list[Route], document: dict[str, Any]) -> None:
    served_here = {
        (method, route.path) for route in routes for method in route.methods or () if method != "HEAD"
    }
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert served_here == described
    assert document["openapi"] == "3.1.0"


def test_the_schemas_are_sound_and_all_used(document: dict[str, Any]) -> None:
    used = set()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                used.add(part["$ref"].removeprefix("#/components/schemas/"))
            for each in part.values():
                walk(each)
        elif isinstance(part, list):
            for each in part:
                walk(each)

    walk(document)
    schemas = document["components"]["schemas"]
    # Events are no JSON: that of each is named in words.
    assert "data: Frame" in document["paths"]["/v1/jobs/{id}/events"]["get"]["summary"]
    assert used | {"Frame"} == set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_each_path_names_its_parameters(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            told = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
            assert told == ({"id"} if "{id}" in path else set())
            assert ("401" in operation["responses"]) == (path != "/healthz")


def test_real_answers_are_as_described(server: Caller, document: dict[str, Any]) -> None:
    seen = set()

    def call(method: str, path: str, at: str = "", **more: Any) -> Any:
        answer = server.call(method, at or path, **more)
        assert answer.status < 300, answer.body
        seen.add((method, path))
        return checked(document, method, path, answer)

    call("GET", "/healthz")
    call("GET", "/openapi.json")
    query = "/v1/segment?query=the%20red%20circle&query=the%20yellow%20star"
    call("POST", "/v1/segment", query, body=encoded(scene().image), headers={"Content-Type": "image/png"})
    (video,) = call("GET", "/v1/videos")
    asked = {"video": video["id"], "queries": [RED, ABSENT]}
    check(document, document["components"]["schemas"]["JobRequest"], asked)
    job = call("POST", "/v1/jobs", data=asked)["id"]
    with server.opened("GET", f"/v1/jobs/{job}/events") as response:
        *frames, last = read_events(iter(response))
    seen.add(("GET", "/v1/jobs/{id}/events"))
    for event in frames:
        check(document, document["components"]["schemas"]["Frame"], event.data)
    check(document, document["components"]["schemas"]["Job"], last.data)
    assert len(frames) == 2
    call("GET", "/v1/jobs")
    call("GET", "/v1/jobs/{id}", f"/v1/jobs/{job}")
    call("DELETE", "/v1/jobs/{id}", f"/v1/jobs/{job}")
    call("GET", "/labelstudio/health")
    call("GET", "/labelstudio/versions")
    call("POST", "/labelstudio/setup", data={"schema": CONFIG})
    image = data_uri(encoded(scene().image))
    tasks = [{"id": 1, "data": {"image": image}}, {"id": 2, "data": {"image": "https://example.org/a.png"}}]
    request = {"label_config": CONFIG, "tasks": tasks}
    check(document, document["components"]["schemas"]["LabelStudioRequest"], request)
    call("POST", "/labelstudio/predict", data=request)
    call("POST", "/labelstudio/webhook", data={"action": "ANNOTATION_CREATED"})
    assert seen == {(method.upper(), path) for path, each in document["paths"].items() for method in each}


@pytest.mark.parametrize(
    ("method", "path", "at", "more"),
    [
        ("POST", "/v1/segment", "/v1/segment", {}),
        ("POST", "/v1/segment", "/v1/segment?query=a", {"body": b"x"}),
        (
            "POST",
            "/v1/segment",
            "/v1/segment?query=a",
            {"body": b"x", "headers": {"Content-Type": "image/png"}},
        ),
        ("POST", "/v1/jobs", "/v1/jobs", {"data": {"video": "x", "queries": ["a"]}}),
        ("POST", "/v1/jobs", "/v1/jobs", {"data": {}}),
        ("POST", "/v1/jobs", "/v1/jobs", {"body": b"x"}),
        ("GET", "/v1/jobs/{id}", "/v1/jobs/x", {}),
        ("DELETE", "/v1/jobs/{id}", "/v1/jobs/x", {}),
        ("POST", "/labelstudio/setup", "/labelstudio/setup", {"data": {"schema": "<View/>"}}),
        ("POST", "/labelstudio/predict", "/labelstudio/predict", {"data": {}}),
        ("POST", "/labelstudio/webhook", "/labelstudio/webhook", {"data": {"action": "START_TRAINING"}}),
    ],
)
def test_errors_are_as_described(
    server: Caller, document: dict[str, Any], method: str, path: str, at: str, more: dict[str, Any]
) -> None:
    answer = server.call(method, at, **more)
    assert answer.status >= 400
    checked(document, method, path, answer)


def test_the_document_is_the_same_without_a_model(document: dict[str, Any], tmp_path: Path) -> None:
    jobs = Jobs()
    with served(service_routes(None, [tmp_path], jobs)) as caller:
        assert caller.call("GET", "/openapi.json").json == document
    jobs.close()
