"""run.json and results.jsonl of all kinds of runs keep to their schemas, and docs/formats.md tells of every key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import carvid.sinks
from carvid.errors import InputError
from carvid.frame import Frame
from carvid.result import FrameResult
from tests.media import packet_spans, write_video, zero
from tests.tiny_sam import make_tiny_sam
from tests.verify_cases import LEFT, QUERIES, StopAfter, draw, load, run, write_clip

SCHEMAS = Path(carvid.sinks.__file__).parent / "schemas"
DOCS = Path(__file__).resolve().parents[1] / "docs" / "formats.md"


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def manifest_of(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "run.json").read_text())
    return told


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def validate(out: Path) -> None:
    validator("run.json").validate(manifest_of(out))
    lines = validator("results.json")
    for line in lines_of(out):
        lines.validate(line)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "in", 3)


@pytest.mark.parametrize(
    ("options", "queries", "output"),
    [
        ({"keyframes": 1, "crf": True}, QUERIES, {"overlay": True}),
        ({"keyframes": 2}, QUERIES, {}),
        ({}, (QUERIES[0], LEFT), {"separate": True}),
        ({"instances": True, "causal": True}, (*QUERIES, "a unicorn"), {}),
        ({"instances": True}, (LEFT,), {"separate": True}),
        ({"mode": "semantic", "keyframes": 1}, QUERIES, {}),
    ],
    ids=["every frame", "carried", "words", "instances", "words of instances", "semantic"],
)
def test_runs_keep_to_the_schemas(
    clip: Path, tmp_path: Path, options: dict[str, Any], queries: tuple[str, ...], output: dict[str, Any]
) -> None:
    run(clip, tmp_path / "out", load(**options), queries, **output)
    validate(tmp_path / "out")
    assert len(lines_of(tmp_path / "out")) == 3


def test_a_run_with_a_sam_keeps_to_them(clip: Path, tmp_path: Path) -> None:
    sam = make_tiny_sam(tmp_path / "sam")
    options = {"points": "guided", "automatic": {"points_per_side": 2}}
    run(clip, tmp_path / "out", load(keyframes=1, sam=str(sam), sam_options=options), stop_frame=1)
    validate(tmp_path / "out")
    assert "sam" in lines_of(tmp_path / "out")[0]["queries"][0]


class Failing(StopAfter):
    """Looks at run.json while the run goes on, and then fails."""

    def __init__(self, out: Path) -> None:
        super().__init__(0)
        self._out = out

    def advance(self, frame: Frame, result: FrameResult) -> None:
        validate(self._out)
        assert manifest_of(self._out)["finished"] is None
        raise InputError("failed on purpose")


def test_runs_that_do_not_end_well_keep_to_them(clip: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", draw(8), gop=3)
    position, size, _ = packet_spans(video)[4]
    zero(video, position, size)
    assert run(video, tmp_path / "damaged", load(keyframes=1)).damaged
    assert run(clip, tmp_path / "interrupted", load(keyframes=1), progress=StopAfter(1)).interrupted
    with pytest.raises(InputError, match="on purpose"):
        run(clip, tmp_path / "failed", load(keyframes=1), progress=Failing(tmp_path / "failed"))
    for name in ("damaged", "interrupted", "failed"):
        validate(tmp_path / name)
        assert manifest_of(tmp_path / name)["results_sha256"] is not None
    assert manifest_of(tmp_path / "failed")["error"] == "InputError: failed on purpose"


def test_a_schema_refuses_what_is_missing_or_unknown(clip: Path, tmp_path: Path) -> None:
    run(clip, tmp_path / "out", load(keyframes=1), stop_frame=1)
    told, (line,) = manifest_of(tmp_path / "out"), lines_of(tmp_path / "out")
    for key in told:
        assert not validator("run.json").is_valid({name: each for name, each in told.items() if name != key})
    assert not validator("run.json").is_valid({**told, "other": 1})
    assert not validator("results.json").is_valid({**line, "name": 1})
    assert not validator("results.json").is_valid({**line, "key": True})


def keys(schema: object) -> Iterator[str]:
    """All names of properties in a schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keys(value)


@pytest.mark.parametrize("name", ["run.json", "results.json"])
def test_the_documentation_names_every_key(name: str) -> None:
    told = set(re.findall(r"`([a-z_0-9]+)`", DOCS.read_text(encoding="utf-8")))
    named = set(keys(json.loads((SCHEMAS / name).read_text(encoding="utf-8"))))
    assert named
    assert named <= told


def test_the_example_with_pandas_keeps_the_names_as_text(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pandas = pytest.importorskip("pandas")
    run(clip, tmp_path / "out", load(keyframes=1))
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path / "out")
    found: dict[str, Any] = {}
    exec(example, found)
    assert found["frames"]["name"].tolist() == ["00000", "00001", "00002"]
    assert all(Path(name).is_file() for name in found["table"]["file"])
    lines = lines_of(tmp_path / "out")
    assert found["table"]["area_px"].tolist() == [one["area_px"] for line in lines for one in line["queries"]]
    assert QUERIES[0] in capsys.readouterr().out
    # Without it they are numbers.
    assert pandas.read_json("results.jsonl", lines=True)["name"].tolist() == [0, 1, 2]
