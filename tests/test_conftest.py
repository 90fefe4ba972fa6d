"""A run under CARVID_NO_SKIPS=1 fails when a test that should run skipped."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = """
import pytest

@pytest.mark.skipif(True, reason="root may write anywhere")
def test_of_permissions(): ...

@pytest.mark.xfail(reason="a known failure, which is no skip")
def test_that_fails(): assert False

def test_that_runs(): ...
"""
FORBIDDEN = """
import pytest

def test_of_samples(): pytest.skip("no samples")

@pytest.mark.skip(reason="for now")
def test_marked(): ...

def test_that_runs(): ...
"""
MODULE = """
import pytest

pytest.importorskip("no_such_package")

def test_never_seen(): ...
"""


def run(folder, files, *options, no_skips="1"):
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, folder],
        cwd=folder,
        env={**os.environ, "CARVID_NO_SKIPS": no_skips},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("--numprocesses", "2")], ids=["one process", "xdist"])
def test_a_forbidden_skip_fails_the_run_and_is_named(tmp_path, options):
    done = run(tmp_path, {"allowed": ALLOWED, "forbidden": FORBIDDEN, "module": MODULE}, *options)
    assert done.returncode == 1
    told = done.stdout.partition("skipped, which CARVID_NO_SKIPS forbids")[2]
    for line in (
        "test_forbidden.py::test_of_samples: no samples",
        "test_forbidden.py::test_marked: for now",
        "test_module.py: could not import 'no_such_package'",
    ):
        assert told.count(line) == 1
    assert "test_allowed.py" not in told


def test_allowed_skips_and_expected_failures_pass(tmp_path):
    done = run(tmp_path, {"allowed": ALLOWED})
    assert done.returncode == 0
    assert "forbids" not in done.stdout


def test_elsewhere_any_test_may_skip(tmp_path):
    done = run(tmp_path, {"forbidden": FORBIDDEN}, no_skips="")
    assert done.returncode == 0
    assert "forbids" not in done.stdout


def test_skips_are_named_beside_failures_too(tmp_path):
    done = run(tmp_path, {"forbidden": FORBIDDEN, "failing": "def test_that_fails(): assert False"})
    assert done.returncode == 1
    assert "test_failing.py::test_that_fails" in done.stdout
    assert "test_forbidden.py::test_marked: for now" in done.stdout
