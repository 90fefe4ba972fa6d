"""JSON and lists of names, as data sets have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from carvid.data_files import read_json, read_names
from carvid.errors import InputError


@pytest.mark.parametrize(
    ("content", "values"),
    [(b'{"a": [1]}', {"a": [1]}), (b"\xef\xbb\xbf[]", []), ('"\u00e9"'.encode("utf-16"), "\u00e9")],
)
def test_json_is_read_with_and_without_a_byte_order_mark(
    tmp_path: Path, content: bytes, values: object
) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") == values


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no file .*x.json"),
        (b"{", "x.json is not JSON"),
        (b"\xff\x00", "x.json is not JSON"),
        (b"[" * 100_000, "x.json is not JSON"),
        (b"null", "x.json holds null"),
    ],
)
def test_what_is_no_json_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match="cannot read"):
        read_json(tmp_path)


def test_names_are_listed_one_per_line(tmp_path: Path) -> None:
    problems: list[str] = []
    (tmp_path / "val.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\nb \nb\n../c\n")
    assert read_names(tmp_path / "val.txt", "image", "a file", problems) == ("a", "b")
    assert [problem.split(", ", 1)[1] for problem in problems] == [
        "line 4: b is listed already, in line 3",
        "line 5: '../c' is not the name of a file alone",
    ]
    (tmp_path / "none.txt").write_text("\n")
    for name in ("none.txt", "missing.txt"):
        assert read_names(tmp_path / name, "image", "a file", problems) == ()
    assert problems[2:] == [f"{tmp_path}/none.txt names no image", f"no file {tmp_path}/missing.txt"]
