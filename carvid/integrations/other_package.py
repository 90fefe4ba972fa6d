"""Packages of other tools, imported when they are needed: carvid installs none of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from carvid.errors import UsageError


def needed(module: str, package: str) -> Any:
    """A module of another tool. Raises UsageError, with how to install it, where it is not there."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise
        raise UsageError(
            f"this needs the package {package}, which is not installed; pip install {package}"
        ) from error
