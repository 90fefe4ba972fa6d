"""run.json."""

import json
import platform
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import carvid
from carvid.errors import InputError, OutputError
from carvid.sinks.run_record import (
    RunManifest,
    package_versions,
    read_manifest,
    to_plain,
    write_manifest,
)
from tests.sinks_cases import NASTY_QUERIES, file_size_limit, names_under


def manifest(**fields):
    values = {
        "command": ("carvid", "run", "v.mp4", *NASTY_QUERIES),
        "source": {"name": "v.mp4", "frame_rate": Fraction(30000, 1001), "sha256": "ab"},
        "segmenter": {"theta": np.float32(0.5), "folder": Path("models") / "x"},
        "options": {"every": 1},
        "queries": NASTY_QUERIES,
        "outputs": ("masks",),
        **fields,
    }
    return RunManifest(**values)


def test_everything_comes_back_in_plain_json(tmp_path):
    write_manifest(tmp_path / "run.json", manifest(frames=3, seconds={"decode": 0.5}))
    read = read_manifest(tmp_path / "run.json")
    assert read["command"] == ["carvid", "run", "v.mp4", *NASTY_QUERIES]
    assert read["queries"] == list(NASTY_QUERIES)
    assert read["source"] == {"name": "v.mp4", "frame_rate": "30000/1001", "sha256": "ab"}
    assert read["segmenter"] == {"theta": 0.5, "folder": str(Path("models") / "x")}
    assert (read["frames"], read["seconds"]) == (3, {"decode": 0.5})
    assert (read["complete"], read["interrupted"], read["finished"], read["error"]) == (
        False,
        False,
        None,
        None,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", read["started"])


def test_versions_are_those_of_this_process():
    versions = package_versions()
    assert versions["carvid"] == carvid.__version__
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert {"torch", "transformers", "av"} <= versions.keys()


def test_a_failing_write_keeps_the_earlier_manifest(tmp_path):
    path = tmp_path / "run.json"
    write_manifest(path, manifest())
    with file_size_limit(2000), pytest.raises(OutputError, match=r"run\.json"):
        write_manifest(path, manifest(complete=True, queries=("x" * 5000,)))
    assert read_manifest(path)["complete"] is False
    assert names_under(tmp_path) == ["run.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"versions": {"other": "1"}}', '{"versions": "carvid"}', '{"a":' * 100_000]
)
def test_other_files_of_that_name_are_not_taken_for_carvids(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        read_manifest(tmp_path / "run.json")


def test_a_value_without_a_form_in_json_is_named():
    with pytest.raises(TypeError, match="object"):
        json.dumps({"x": object()}, default=to_plain)
