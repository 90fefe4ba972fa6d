"""What to label: VIDEOS (a folder, a glob pattern or a manifest) and QUERIES become `VideoRequest`s."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from carvid.annotate.discovery import find_videos
from carvid.errors import InputError, OutputError, UsageError
from carvid.media.json_text import load_json
from carvid.paths import is_dir, real
from carvid.store.task import VideoRequest, as_text
from carvid.wording import check_text, distinct, not_text

MANIFEST_SUFFIXES = (".csv", ".jsonl", ".ndjson")
_FIELDS = ("path", "queries", "start", "stop")
# The last frame's number that a database holds.
_LAST_FRAME = 2**63 - 1


@dataclass(frozen=True)
class Intake:
    """What to label.

    requests: the videos asked for, distinct, in order. folders: those in which no output may lie.
    closed: paths that could not be searched for videos, as text, each with the reason.
    overruled: how many videos have queries of their own in the manifest, and so lack some of those for all.
    """

    requests: tuple[VideoRequest, ...]
    folders: tuple[Path, ...]
    closed: tuple[tuple[str, str], ...] = ()
    overruled: int = 0


def read_intake(videos: str, queries: Sequence[str] = (), queries_file: Path | None = None) -> Intake:
    """Find the videos and give each its queries.

    videos: a manifest where it ends in .csv, .jsonl or .ndjson; else as `find_videos`. A manifest's paths are
    relative to its folder; a video that has queries there has those alone, none of `queries` and of the file; start and
    stop are frames, stop left out. A row: in JSON Lines an object, "queries" being a text or a list of texts; in CSV
    under a header, the cell a text, or a list of texts in JSON where it begins with "[". Rows for the same video and
    range add up.
    queries_file: one query a line, UTF-8; empty lines count for nothing.
    Raises InputError for what cannot be read or found, UsageError for a video without queries.
    """
    lines = _lines(queries_file) if queries_file is not None else []
    common = distinct(query.strip() for query in (*queries, *lines))
    for query in queries:
        check_text(query, "the query")
        if not query.strip():
            raise UsageError("a query is empty: expected words, such as 'the red car'")
    path = Path(videos)
    closed: tuple[tuple[str, str], ...] = ()
    if path.suffix.lower() in MANIFEST_SUFFIXES and not is_dir(path, InputError):
        requests = _merge(_manifest(path))
        folders = tuple(Path(each.source) for each in requests if _is_folder(each))
    else:
        found = find_videos(videos)
        requests = [
            VideoRequest(as_text(os.path.relpath(source, found.root)), str(source), ())
            for source in found.sources
        ]
        folders = found.folders
        closed = tuple((as_text(each), reason) for each, reason in found.closed)
    overruled = sum(0 < len(each.queries) < len(distinct([*each.queries, *common])) for each in requests)
    requests = [each if each.queries else replace(each, queries=common) for each in requests]
    without = [each.path for each in requests if not each.queries]
    if without:
        raise UsageError(
            f"no query for {without[0]}"
            + (f" and {len(without) - 1} more videos" if len(without) > 1 else "")
            + "; give -q, --queries-file, or queries in the manifest"
        )
    return Intake(tuple(requests), folders, closed, overruled)


def check_place(dataset: Path, folders: Sequence[Path]) -> None:
    """Raise OutputError if the dataset would lie in a folder that is searched for videos."""
    place = real(dataset)
    for folder in folders:
        inside = real(folder)
        if place == inside or inside in place.parents:
            raise OutputError(
                f"the dataset {dataset} lies inside the input {folder}; choose a folder outside of it"
            )


def _manifest(path: Path) -> Iterator[VideoRequest]:
    text = _read(path, "manifest")
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _json_rows(path, text)
    root, empty = path.absolute().parent, True
    for where, row in rows:
        empty = False
        if unknown := sorted(set(row) - set(_FIELDS), key=str):
            raise InputError(f"{where}: unknown {unknown[0]!r}; expected {', '.join(_FIELDS)}")
        name = row.get("path")
        if not isinstance(name, str) or not name:
            raise InputError(f"{where}: path is {name!r}; expected the path of a video")
        if not _is_path(name):
            raise InputError(f"{where}: path is {name!r}, which no file can be called")
        start = _number(row.get("start"), f"{where}: start") or 0
        stop = _number(row.get("stop"), f"{where}: stop")
        if stop is not None and stop <= start:
            raise InputError(f"{where}: stop is {stop}; expected more than start, {start}")
        # normpath, as "a/../b" and "b" are one video; not resolve, which would lose the name of a link.
        source = os.path.normpath(root / name)
        yield VideoRequest(as_text(name), source, _queries(row.get("queries"), where), start, stop)
    if empty:
        raise InputError(f"the manifest {path} lists no video")


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    try:
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row:
                raise InputError(f"{where}: more cells than the header has; put a text with commas in quotes")
            cells: dict[str, Any] = {name: value for name, value in row.items() if value != ""}
            cell = cells.get("queries", "")
            if cell.startswith("["):
                cells["queries"] = _json(cell, f"{where}: queries")
            yield where, cells
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Not splitlines, which also splits at characters that JSON allows within a text.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            row = _json(line, where)
            if not isinstance(row, dict):
                raise InputError(f"{where}: expected a JSON object, found {line.strip()[:40]!r}")
            yield where, row


def _json(text: str, where: str) -> Any:
    try:
        return load_json(text)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}): {text.strip()[:40]!r}") from error


def _queries(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or any(not isinstance(text, str) or not text.strip() for text in texts):
        raise InputError(f"{where}: queries is {value!r}; expected a text, or a list of texts, none empty")
    for text in texts:
        if wrong := not_text(text):
            raise InputError(f"{where}: the query {text!r} {wrong}")
    return distinct(text.strip() for text in texts)


def _number(value: object, where: str) -> int | None:
    if value is None:
        return None
    # Python converts no text of thousands of digits.
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 1000:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"{where} is {value!r}; expected a frame's number, from 0")
    if value > _LAST_FRAME:
        raise InputError(f"{where} is {value}; expected at most {_LAST_FRAME}")
    return value


def _is_folder(video: VideoRequest) -> bool:
    # A path that cannot be looked at costs its row and no more: its video will have failed, with the reason.
    try:
        return is_dir(Path(video.source), InputError)
    except InputError:
        return False


def _merge(requests: Iterator[VideoRequest]) -> list[VideoRequest]:
    merged: dict[object, VideoRequest] = {}
    for each in requests:
        before = merged.get(each.key)
        if before is not None:
            each = replace(before, queries=distinct([*before.queries, *each.queries]))
        merged[each.key] = each
    return list(merged.values())


def _lines(path: Path) -> list[str]:
    lines = [line for line in _read(path, "queries file").split("\n") if line.strip()]
    if not lines:
        raise InputError(f"{path} holds no query; expected one a line")
    return lines


def _read(path: Path, what: str) -> str:
    try:
        # utf-8-sig: spreadsheets begin a file with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"there is no {what} {path}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"cannot read the {what} {path}, line {line}: {error.object[error.start : error.start + 1]!r} is not "
            "UTF-8; save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the {what} {path}: {error}") from error


def _is_path(name: str) -> bool:
    # Bytes that are not UTF-8 are names too, which JSON holds as lone surrogates; other surrogates stand for nothing.
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False
