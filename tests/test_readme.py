"""The README's Python prints what the README says it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from carvid.shapes.drawn_tree import write_dataset

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_first_example_prints_the_output_below_it(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    example, output = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.S).groups()
    # What `make demo` leaves behind.
    write_dataset(tmp_path / "demo" / "DAVIS", clips=1, frames=24)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told, expected = done.stdout.splitlines(), output.splitlines()
    assert len(told) == len(expected) == 6
    for line, other in zip(told, expected, strict=True):
        # Index, query and presence to the letter; a score or a box may move by rounding on another processor.
        numbers = r"\d+\.?\d*"
        assert re.sub(numbers, "", line) == re.sub(numbers, "", other)
        pairs = zip(re.findall(numbers, line), re.findall(numbers, other), strict=True)
        assert all(abs(float(a) - float(b)) <= (0.02 if "." in a else 1) for a, b in pairs)
