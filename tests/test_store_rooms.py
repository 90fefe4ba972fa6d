"""Which rooms the store and its readers know."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CARVID = Path(__file__).resolve().parents[1] / "carvid"
READERS = {"davis", "errors", "media", "sinks", "store", "stream"}


def rooms_imported(room: str) -> set[str]:
    """The rooms of carvid that any module of a room imports, wherever it does."""
    found = set()
    for path in (CARVID / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("carvid.")}
    return found - {room}


@pytest.mark.parametrize(
    ("room", "known"),
    [
        ("store", {"errors", "frame", "media", "sinks", "stream"}),
        ("export", READERS),
        ("review", READERS),
    ],
)
def test_the_store_and_its_readers_know_nothing_of_how_labels_are_made(room: str, known: set[str]) -> None:
    assert rooms_imported(room) <= known
