"""How torch's threads wait for each other under the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from carvid import cli

cli.app = lambda **options: None
cli.main()
assert "torch" not in sys.modules, "loaded before it could be told"
print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_threads_wait_asleep_unless_told_otherwise(given: dict[str, str], spins: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GOMP", "OMP"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**env, **given}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == (f"{spins}\n", "")
