"""The identity of a source: name, size, SHA-256."""

import dataclasses
import hashlib
import os

import pytest

from carvid.stream import open_frames
from carvid.stream.identity import identify_source, identify_stream
from tests.media import moving_square, write_folder


def test_a_files_identity_is_its_name_size_and_sha256(tmp_path):
    data = bytes(range(256)) * 9000
    (tmp_path / "v.mp4").write_bytes(data)
    assert identify_source(tmp_path / "v.mp4") == {
        "name": "v.mp4",
        "size_bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def test_a_folders_identity_follows_the_documented_recipe(tmp_path):
    (tmp_path / "b.png").write_bytes(b"bb")
    (tmp_path / "a.png").write_bytes(b"aaa")
    (tmp_path / ".hidden").write_bytes(b"h")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.png").write_bytes(b"c")
    recipe = b"a.png\0" + (3).to_bytes(8, "big") + b"aaa" + b"b.png\0" + (2).to_bytes(8, "big") + b"bb"
    assert identify_source(tmp_path) == {
        "name": tmp_path.name,
        "size_bytes": 5,
        "sha256": hashlib.sha256(recipe).hexdigest(),
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": b"x"}, {"b": b"x"}),
        ({"a": b"x"}, {"a": b"y"}),
        ({"a": b"xb", "b": b""}, {"a": b"x", "b": b"b"}),
        ({"a": b"x"}, {"a": b"x", "b": b""}),
    ],
)
def test_folders_that_differ_have_different_hashes(tmp_path, one, other):
    hashes = []
    for number, files in enumerate((one, other)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        hashes.append(identify_source(folder)["sha256"])
    assert hashes[0] != hashes[1]


def test_a_pipe_is_not_used_up_by_hashing_it(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes here")
    os.mkfifo(tmp_path / "pipe")
    assert identify_source(tmp_path / "pipe") == {"name": "pipe", "size_bytes": None, "sha256": None}


def test_a_stream_without_a_path_has_a_name_alone(tmp_path):
    write_folder(tmp_path / "clip", moving_square(2))
    with open_frames(tmp_path / "clip") as stream:
        info = stream.info
    assert identify_stream(info) == identify_source(tmp_path / "clip")
    camera = dataclasses.replace(info, name="camera 0", path=None)
    assert identify_stream(camera) == {"name": "camera 0", "size_bytes": None, "sha256": None}


def test_a_source_told_by_a_dot_is_named_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write_folder(tmp_path / "clip", moving_square(2)))
    with open_frames(".") as stream:
        assert stream.info.name == "clip"
