"""Damaged presets, results and datasets: whatever the damage, either they are read or a CarvidError is raised.

A seed that fails is read again by `python scripts/mutate_inputs.py --kind KIND --seed SEED`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.damaged_inputs import KINDS, READ, outcome, refusals


@pytest.mark.parametrize("name", ["presets", "results", "databases"])
def test_damaged_inputs_are_read_or_refused(tmp_path: Path, name: str) -> None:
    kind = KINDS[name]
    kind.make(tmp_path)
    assert outcome(name, tmp_path, None) == READ
    assert 0 < refusals(tmp_path, name, kind.damage, kind.read, 12) < 12
