"""What is released: the sdist and the wheel, installed outside the checkout; the version; licences; the citation."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import carvid

ROOT = Path(__file__).resolve().parents[1]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    sdist, wheel = script("check_release").build(tmp_path_factory.mktemp("dist"), "--no-isolation")
    return sdist, wheel


def test_the_sdist_and_the_wheel_hold_everything_and_nothing_else(built: tuple[Path, Path]) -> None:
    assert script("check_release").missing(*built) == []
    assert [path.name for path in built] == [
        f"carvid-{carvid.__version__}.tar.gz",
        f"carvid-{carvid.__version__}-py3-none-any.whl",
    ]


def test_what_a_package_lacks_is_told(built: tuple[Path, Path], tmp_path: Path) -> None:
    import zipfile

    left_out = ("carvid/configs/voc.yaml", "carvid/py.typed", "carvid/shapes/proposer/model.safetensors")
    poorer = tmp_path / "poorer.whl"
    with zipfile.ZipFile(built[1]) as whole, zipfile.ZipFile(poorer, "w") as part:
        for name in whole.namelist():
            if name not in left_out:
                part.writestr(name, whole.read(name))
        part.writestr("tests/test_release.py", "")
    assert script("check_release").missing(built[0], poorer) == [
        *(f"the wheel lacks {name}" for name in left_out),
        "the wheel holds tests/test_release.py, which is none of the package's",
    ]


def test_the_wheel_runs_its_demo_outside_the_checkout(built: tuple[Path, Path], tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    install = ["install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", str(built[1])]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    # The dependencies of this environment, torch among them, but not what its own .pth files add: the checkout.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = subprocess.run(
        [python, "-c", "import carvid; print(carvid.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(where.stdout.strip()).is_relative_to(venv)
    script("check_release").demo(venv / "bin" / "carvid", tmp_path / "run")


def test_a_python_that_is_only_a_shim_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    here = "{}.{}".format(*sys.version_info)
    found = script("check_release").pythons([Path(sys.executable)])
    assert found[here] == Path(sys.executable)
    assert shim not in found.values()


def test_the_version_stands_in_one_place() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert re.search(r'\[tool\.hatch\.version\]\npath = "carvid/__init__\.py"', project)
    assigned = re.compile(r"^\s*(__version__|VERSION)\s*[:=].*\d+\.\d+\.\d+", re.M)
    where = [
        path for path in (ROOT / "carvid").rglob("*.py") if assigned.search(path.read_text(encoding="utf-8"))
    ]
    assert where == [ROOT / "carvid" / "__init__.py"]


def test_the_citation_names_this_version_and_the_paper() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == carvid.__version__
    assert cited["authors"] == [{"name": "carvid developers"}]
    (paper,) = cited["references"]
    assert paper["title"].startswith("CLIP as RNN")
    assert paper["identifiers"][0]["value"] == "arXiv:2312.07661"
    assert {"message", "title", "type", "license"} <= cited.keys()


def test_the_licences_of_all_direct_dependencies_are_listed_as_they_are_now() -> None:
    licences = script("list_licences")
    told = dict(
        re.findall(r"^\| `(\S+)` \| (.+) \| carvid \|$", licences.TARGET.read_text(encoding="utf-8"), re.M)
    )
    direct = {name for names in licences.direct().values() for name in names}
    again = "run python scripts/list_licences.py"
    assert direct <= told.keys(), again
    # Older versions, which other Pythons have, may say it in other words.
    if sys.version_info >= (3, 11):
        assert {name: told[name] for name in direct} == {name: licences.licence(name) for name in direct}, (
            again
        )
