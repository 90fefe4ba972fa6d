"""run.json: what was run, on which source, with which models and settings, and how far it got."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import carvid
from carvid.errors import InputError
from carvid.media.json_text import load_json
from carvid.media.whole_file import write_whole

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


def now() -> str:
    """The time in UTC, as ISO 8601 with seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunManifest:
    """The content of run.json, field by field.

    command: the command line; empty for a run from Python.
    source: name, kind, size in bytes and SHA-256 (see `carvid.stream.identity`), and the stream's frame rate, time
        base (fractions as "30000/1001"), width and height.
    segmenter: how the segmenter describes itself: models with their hashes, thresholds and other options.
    options: the options of the stream and of the output.
    queries: the query set, in the caller's order.
    outputs: names of the files and folders written, in the output folder.
    versions: see `package_versions`.
    started, finished: UTC, ISO 8601; finished is null while the run goes on, and stays so if it is killed.
    frames: frames written.
    present_share: per query, the share of those frames it was present in.
    damage: frames of the source that could not be decoded, each with first_frame, last_frame and reason.
    seconds: wall-clock seconds per stage.
    totals: what else the segmenter has counted since it was made, such as the points that SAM decoded.
    complete: every frame the source could give was written. False while the run goes on.
    interrupted: the run was stopped by Ctrl-C: after a whole frame or, if it was pressed twice, at once (then there
        is an error too).
    error: why the run failed, or null.
    """

    command: tuple[str, ...]
    source: Mapping[str, Any]
    segmenter: Mapping[str, Any]
    options: Mapping[str, Any]
    queries: tuple[str, ...]
    outputs: tuple[str, ...]
    versions: Mapping[str, str | None] = field(default_factory=package_versions)
    started: str = field(default_factory=now)
    finished: str | None = None
    frames: int = 0
    present_share: tuple[float, ...] = ()
    damage: tuple[Mapping[str, Any], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = False
    interrupted: bool = False
    error: str | None = None


def write_manifest(path: Path, manifest: RunManifest) -> None:
    """Write the manifest as JSON, whole or not at all, replacing an earlier one.

    Raises:
        OutputError: if it cannot be written; an earlier one then stands.
    """
    text = json.dumps(dataclasses.asdict(manifest), indent=2, default=to_plain) + "\n"
    write_whole(path, text.encode("ascii"))


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a run.json.

    Raises:
        InputError: if it cannot be read or was not written by carvid.
    """
    try:
        manifest: dict[str, Any] = load_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    versions = manifest.get("versions") if isinstance(manifest, dict) else None
    if not (isinstance(versions, dict) and "carvid" in versions):
        raise InputError(f"{path} was not written by carvid: it names no carvid version")
    return manifest


def to_plain(value: object) -> object:
    """A value as types that JSON has: a fraction as "30000/1001", a path as text, an array as lists.

    Raises:
        TypeError: for any other type.
    """
    if isinstance(value, (Fraction, Path)):
        return str(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")
