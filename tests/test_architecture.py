"""The rooms keep to docs/architecture.md: no file imports what its room does not know."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "carvid"


def imports(path: Path) -> set[str]:
    """The modules a file imports, at its top or inside a function; `from a import b` counts as a and as a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def rows() -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Room, its names and the names it does not know, out of the table."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [(row[0].strip(), *(tuple(re.findall(r"`([^`]+)`", row[i])) for i in (0, 2))) for row in cells]


def files(name: str) -> list[Path]:
    return [PACKAGE / name] if name.endswith(".py") else sorted((PACKAGE / name).rglob("*.py"))


def module(name: str) -> str:
    """The module that a name of the table stands for: of the package where it ends in / or .py."""
    if name == "carvid" or not name.endswith(("/", ".py")):
        return name
    return "carvid." + name.removesuffix("/").removesuffix(".py")


@pytest.mark.parametrize(("room", "names", "unknown"), rows())
def test_a_room_imports_nothing_it_does_not_know(
    room: str, names: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    assert unknown
    for path in (path for name in names for path in files(name)):
        for imported in imports(path):
            for name in map(module, unknown):
                known = imported != name and not imported.startswith(f"{name}.")
                assert known, f"{path.relative_to(ROOT)} imports {imported}; {room} does not know {name}"


def test_every_file_is_in_a_room() -> None:
    told = {path for _, names, _ in rows() for name in names for path in files(name)}
    assert set(PACKAGE.rglob("*.py")) - told == {
        PACKAGE / "__init__.py",
        PACKAGE / "__main__.py",
    }
    assert all(path.is_file() for path in told)


def test_the_product_loads_nothing_from_tests_or_scripts() -> None:
    for path in PACKAGE.rglob("*.py"):
        for imported in imports(path):
            assert imported.split(".")[0] not in ("tests", "scripts"), f"{path} imports {imported}"
        assert not re.search(r"[\"']tests[\"'/]", path.read_text(encoding="utf-8")), path


# Rooms that look at paths they are given.
LOOKS = (
    "annotate/annotate.py",
    "annotate/discovery.py",
    "annotate/intake.py",
    "clip/",
    "davis/",
    "sinks/",
    "weights/",
)


def test_paths_are_looked_at_by_one_file() -> None:
    """`Path.exists` and its like raise for a name that is too long, or answer False, as the Python is."""
    for path in (path for name in LOOKS for path in files(name)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            asked = isinstance(node, ast.Attribute) and node.attr in ("exists", "is_dir", "is_file")
            assert not asked, f"{path.relative_to(ROOT)} asks Path; carvid.paths tells it alike everywhere"


def test_no_two_files_share_a_name_that_means_two_things() -> None:
    """Where they share one, it is the same part of two networks, or a command and what it calls."""
    by_name: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if not path.name.startswith("__"):
            by_name.setdefault(path.stem, []).append(path.parent.name)
    twins = {name: sorted(places) for name, places in by_name.items() if len(places) > 1}
    networks = {name for name, places in twins.items() if set(places) <= {"clip", "sam", "weights"}}
    commands = {name for name, places in twins.items() if "cli" in places and name in places}
    assert set(twins) - networks - commands == set(), twins
