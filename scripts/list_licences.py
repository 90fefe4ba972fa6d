"""Writes docs/licences.md: the licences of all that carvid depends on, by the metadata of what is installed here.

    python scripts/list_licences.py

Run it in an environment with all extras (`make test` makes one), after a change of the dependencies or constraints.txt.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.message import Message
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from av._core import library_meta
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import pip._vendor.tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "licences.md"
DEVELOPMENT = "dev"
# What classifiers and free text call licences, by SPDX's names.
_SPDX = {
    "apache software license": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
    "expat license": "MIT",
    "bsd license": "BSD",
    "bsd 3-clause license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
_HEAD = """# Licences of what carvid depends on

carvid itself is under Apache-2.0 (`LICENSE`). It ships none of the packages below; pip installs them. The tables are
made by `python scripts/list_licences.py` from the metadata of the installed packages."""
_TAIL = """

## What comes inside packages

- `av` brings FFmpeg's libraries, which say of themselves: {ffmpeg}.
  `opencv-python-headless` and `decord` bring FFmpeg libraries of their own; their licences are in those packages.
- The tables were made with a torch for the CPU alone. A torch for CUDA also installs NVIDIA's libraries (`nvidia-*`),
  which are under NVIDIA's own terms.
- Weights that `carvid models pull` fetches have licences of their own, which their repositories on the hub state.
"""


def main() -> None:
    TARGET.write_text(document(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {document().count('| `')} packages")


def document() -> str:
    """The whole of docs/licences.md."""
    own = direct()
    told = closure(own[""])
    parts = [_HEAD, _table("To run carvid", told, own[""])]
    for extra, names in own.items():
        if extra not in ("", DEVELOPMENT):
            more = closure(names) - told
            parts.append(_table(f"With `carvid[{extra}]`, in addition", more, names))
    parts.append(_table("To work on carvid, directly", set(own[DEVELOPMENT]), own[DEVELOPMENT]))
    ffmpeg = "; ".join(sorted({str(one["license"]) for one in library_meta.values()}))
    return "\n".join(parts) + _TAIL.format(ffmpeg=ffmpeg)


def direct() -> dict[str, list[str]]:
    """What pyproject.toml names: to run (under ""), and by extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [canonicalize_name(Requirement(line).name) for line in lines if _applies(Requirement(line))]
        for extra, lines in lists.items()
    }


def closure(names: Iterable[str]) -> set[str]:
    """These packages and all that they depend on, as far as it is installed."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            # For another system, or another Python.
            continue
        found.add(name)
        todo += [canonicalize_name(one.name) for line in needed if _applies(one := Requirement(line))]
    return found


def licence(name: str) -> str:
    """The licence of an installed package, by its metadata."""
    told: Message = metadata(name)  # type: ignore[assignment]
    if expression := told.get("License-Expression"):
        return str(expression)
    classified = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier", [])
        if line.startswith("License :: ")
    ]
    named = [_spdx(one) for one in classified if one != "OSI Approved"]
    # Some put the whole text there.
    stated = str(told.get("License", "")).strip().splitlines()
    is_short = 0 < len(stated) <= 2 and len(stated[0]) < 60 and stated[0].upper() != "UNKNOWN"
    if is_short and (not named or named == ["BSD"]):
        return _spdx(stated[0])
    return " and ".join(named) or "not stated in its metadata"


def _spdx(name: str) -> str:
    return _SPDX.get(name.lower(), name)


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _table(title: str, names: Iterable[str], own: Iterable[str]) -> str:
    rows = [f"\n## {title}\n", "| package | licence | named by |", "|---|---|---|"]
    for name in sorted(names, key=lambda name: (name not in own, name)):
        rows.append(f"| `{name}` | {licence(name)} | {'carvid' if name in own else 'another package'} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
