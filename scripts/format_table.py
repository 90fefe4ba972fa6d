"""Write the table of export formats in docs/export.md, from the registry.

Run it after adding a format or changing its summary: python scripts/format_table.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.export.formats import FORMATS, find_format  # noqa: E402

DOCUMENT = ROOT / "docs" / "export.md"
BEGIN, END = "<!-- formats: scripts/format_table.py -->\n", "<!-- end of formats -->\n"
PICTURES = {"optional": "yes, `--no-images`", "needed": "always", "unused": "none"}


def table() -> str:
    lines = ["| format | what it is | pictures |", "|---|---|---|"]
    for name in FORMATS:
        exporter = find_format(name)
        lines.append(f"| `{name}` | {exporter.summary} | {PICTURES[exporter.pictures]} |")
    return "".join(f"{line}\n" for line in lines)


def written(text: str) -> str:
    """The document with the current table in it."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
