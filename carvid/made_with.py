"""What a result may depend on besides its recipe: the versions of packages, and what computed it."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import carvid

_PACKAGES = ("torch", "transformers", "av", "numpy", "opencv-python-headless", "pillow", "pycocotools")


def package_versions() -> dict[str, str | None]:
    """Versions of carvid, Python and the packages that affect the result; None for one that is not installed."""
    versions: dict[str, str | None] = {"carvid": carvid.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def machine() -> dict[str, Any]:
    """The processor's name, and how many threads torch computes with: None where torch is not loaded.

    Both decide in which order numbers are added up, and so their last digits.
    """
    torch = sys.modules.get("torch")
    return {"processor": _processor(), "threads": None if torch is None else torch.get_num_threads()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
