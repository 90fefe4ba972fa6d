"""Builds the sdist and the wheel, looks into both, and runs the demo from each in new environments.

    python scripts/check_release.py
    python scripts/check_release.py --python /opt/python3.10/bin/python3.10 --keep dist

The environments lie outside the checkout. It needs the package `build`, and a network: each installs torch. It runs
under those of Python 3.10 to 3.13 that are found (on the PATH, under pyenv, or named by --python), and says which were
not. The exit code is 1 if a file is missing or a demo fails.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
SDIST_EXTRAS = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CITATION.cff",
    "constraints.txt",
    "Makefile",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", type=Path, action="append", default=[], help="a Python to install under; repeatable"
    )
    parser.add_argument("--only", action="append", choices=VERSIONS, help="only this version; repeatable")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the sdist and the wheel there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carvid-release-") as name:
        folder = Path(name)
        sdist, wheel = build(folder / "dist")
        problems = missing(sdist, wheel)
        print(f"{sdist.name}, {wheel.name}: " + ("; ".join(problems) or "nothing is missing"), flush=True)
        if given.keep is not None:
            given.keep.mkdir(parents=True, exist_ok=True)
            for path in (sdist, wheel):
                shutil.copy2(path, given.keep)
        found = pythons(given.python)
        for version in given.only or VERSIONS:
            if version not in found:
                print(f"Python {version}: not checked, there is none here", flush=True)
                continue
            told = check_python(found[version], folder / version, [wheel, sdist])
            print(
                f"Python {version}: {told or 'the demo runs from the wheel and from the sdist'}", flush=True
            )
            problems += [told] if told else []
    return 1 if problems else 0


def build(out: Path, *arguments: str) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it: as `python -m build` does, what the sdist lacks the wheel lacks too."""
    command = [sys.executable, "-m", "build", *arguments, "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def missing(sdist: Path, wheel: Path) -> list[str]:
    """What the sdist and the wheel lack, and what has no place in a wheel, in words."""
    code = [path for path in (ROOT / "carvid").rglob("*") if path.is_file() and _is_ours(path)]
    package = {path.relative_to(ROOT).as_posix() for path in code}
    presets = {f"carvid/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    problems = [f"the wheel lacks {name}" for name in sorted((package | presets) - held)]
    other = {name for name in held if not name.startswith(("carvid/", "carvid-"))}
    problems += [f"the wheel holds {name}, which is none of the package's" for name in sorted(other)]
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in held):
        problems.append("the wheel lacks the licence")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = package | {f"configs/{Path(name).name}" for name in presets} | set(SDIST_EXTRAS)
    return problems + [f"the sdist lacks {name}" for name in sorted(wanted - names)]


def _is_ours(path: Path) -> bool:
    """Not what Python keeps beside the code; all else is code, or data without which it would fail later."""
    return "__pycache__" not in path.parts


def pythons(named: Iterable[Path]) -> dict[str, Path]:
    """For each version the Python found first: of those named, on the PATH, under pyenv."""
    roots = [Path(os.environ["PYENV_ROOT"])] if "PYENV_ROOT" in os.environ else [Path.home() / ".pyenv"]
    candidates = [*named, *(Path(path) for v in VERSIONS if (path := shutil.which(f"python{v}")))]
    for root in roots:
        for version in VERSIONS:
            candidates += sorted(root.glob(f"versions/{version}.*/bin/python{version}"))
    found: dict[str, Path] = {}
    for python in candidates:
        say = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        # A shim of pyenv is on the PATH also for versions that are not in use.
        done = subprocess.run(say, capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip() in VERSIONS:
            found.setdefault(done.stdout.strip(), python)
    return found


def check_python(python: Path, folder: Path, packages: Sequence[Path]) -> str:
    """Install the packages into a new environment, run the demo from each; returns what went wrong, or nothing."""
    inside = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    try:
        _do(python, "-m", "venv", folder / "venv", cwd=folder.parent)
        for number, package in enumerate(packages):
            # The dependencies are there by the second.
            extra = ["--force-reinstall", "--no-deps"] if number else []
            _do(inside / "python", "-m", "pip", "install", "--quiet", *extra, package, cwd=folder)
            demo(inside / "carvid", folder / f"run-{number}")
    except RuntimeError as error:
        return str(error)
    finally:
        shutil.rmtree(folder / "venv", ignore_errors=True)
    return ""


def demo(carvid: Path, folder: Path) -> None:
    """Run the demo in a folder. Raises RuntimeError if it does not draw and segment its clip."""
    folder.mkdir(parents=True)
    _do(carvid, "--version", cwd=folder)
    _do(carvid, "demo", "--frames", "3", "--out", "demo", cwd=folder)
    if not list(folder.glob("demo/output/runs/*/overlay.mp4")):
        raise RuntimeError("the demo left no overlay.mp4")


def _do(*command: object, cwd: Path) -> None:
    words = [str(word) for word in command]
    # What the shell says about Python would let the checkout in.
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(words, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(words)} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
        )


if __name__ == "__main__":
    sys.exit(main())
