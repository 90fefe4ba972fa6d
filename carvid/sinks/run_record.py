"""run.json: what was run, on which source, with which models and settings, and how far it got."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from carvid.errors import InputError
from carvid.made_with import machine, package_versions
from carvid.media.json_text import load_json
from carvid.media.whole_file import write_whole

SCHEMA_VERSION = 1
"""The version of run.json and results.jsonl, which docs/formats.md and `schemas/` describe.

A key that is added leaves it as it is; it is raised where a reader of the earlier version would be misled.
"""

_SETTINGS = ("segmenter", "options", "queries")


def now() -> str:
    """The time in UTC, as ISO 8601 with seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunManifest:
    """The content of run.json, field by field; `write_manifest` adds `settings_sha256`.

    schema_version: see `SCHEMA_VERSION`.
    command: the command line; empty for a run from Python.
    source: absolute path (null without one), name, kind, size in bytes and SHA-256 (see `carvid.stream.identity`), and
        the stream's frame rate, time base (fractions as "30000/1001"), width and height.
    segmenter: how the segmenter describes itself: models with their hashes, thresholds and other options.
    options: the options of the stream and of the output.
    queries: the query set, in the caller's order.
    outputs: names of the files and folders written, in the output folder.
    versions, machine: see `carvid.made_with`; machine also has `batch`, how many frames went through the models
        together at first.
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
    results_sha256: SHA-256 of results.jsonl, whose lines hold those of the mask files; null while the run goes on, and
        where it failed before there was such a file.
    """

    schema_version: int = field(default=SCHEMA_VERSION, kw_only=True)
    command: tuple[str, ...]
    source: Mapping[str, Any]
    segmenter: Mapping[str, Any]
    options: Mapping[str, Any]
    queries: tuple[str, ...]
    outputs: tuple[str, ...]
    versions: Mapping[str, str | None] = field(default_factory=package_versions)
    machine: Mapping[str, Any] = field(default_factory=machine)
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
    results_sha256: str | None = None


def write_manifest(path: Path, manifest: RunManifest) -> None:
    """Write the manifest as JSON, whole or not at all, replacing an earlier one.

    Raises:
        OutputError: if it cannot be written; an earlier one then stands.
    """
    told = json.loads(json.dumps(dataclasses.asdict(manifest), default=to_plain))
    told["settings_sha256"] = settings_sha256(told)
    write_whole(path, (json.dumps(told, indent=2) + "\n").encode("ascii"))


def settings_sha256(told: Mapping[str, Any]) -> str:
    """SHA-256 of what a run.json says of the model, the options and the queries.

    That is of these three keys with their values, as JSON in ASCII with sorted keys and no blanks.
    """
    text = json.dumps({name: told.get(name) for name in _SETTINGS}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a run.json.

    Raises:
        InputError: if it cannot be read, or was not written by carvid or by a newer one than this can read.
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
    # What was written before there were versions has none.
    version = manifest.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version!r}; this carvid reads up to version {SCHEMA_VERSION}: update carvid"
        )
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
