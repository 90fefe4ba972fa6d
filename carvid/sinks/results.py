"""results.jsonl: the machine-readable record, one line per frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from carvid.errors import InputError
from carvid.frame import Frame
from carvid.media.json_text import load_json
from carvid.media.rle import bounding_box_xywh, decode_rle, encode_rle
from carvid.media.whole_file import output_errors
from carvid.result import FrameResult
from carvid.sinks.mask_files import MaskSink

SCORE_DIGITS = 6
"""Decimals a score is rounded to; scores are float32, whose own precision near 1 is about 6e-8."""


def frame_record(queries: Sequence[str], frame: Frame, result: FrameResult) -> dict[str, Any]:
    """What a line says about a frame; see `ResultsSink`."""
    record: dict[str, Any] = {
        "index": result.index,
        "pts_seconds": result.pts_seconds,
        "name": frame.name,
        "queries": [
            {
                "query": query,
                "score": _score(said.score),
                "present": said.present,
                "area_px": int(np.count_nonzero(mask)),
                "box_xywh": bounding_box_xywh(mask),
                "rle": encode_rle(mask),
            }
            for query, said, mask in zip(queries, result.queries, result.query_masks, strict=True)
        ],
    }
    for said, words in zip(record["queries"], result.words or (), strict=False):
        if words is not None:
            said["words"] = asdict(words)
    if result.origin is not None:
        record |= {
            "key": result.origin.key,
            "confidence": _score(result.origin.confidence),
            "keys": list(result.origin.keys),
        }
    if result.has_tracks:
        record["objects"] = [
            {
                "id": one.id,
                "query": one.query,
                "score": _score(one.score),
                "area_px": one.area_px,
                "box_xywh": one.box_xywh,
                "rle": one.rle,
            }
            for one in result.objects
        ]
    if result.evidence is not None:
        record["steps"] = [
            {"live": [int(i) for i in step.live], "scores": [_score(score) for score in step.scores]}
            for step in result.evidence.steps
        ]
        for query, done in zip(record["queries"], result.evidence.sam or (), strict=False):
            query["sam"] = done.as_json()
    return record


class ResultsSink:
    r"""Writes a line of JSON per frame to `path`, which must not exist yet.

    A line holds `index`, `pts_seconds` (null where the source gives none), `name`; per query, in the caller's
    order, `query`, `score` and `present`, and of its own mask (with tracks, the union of theirs) `area_px`, `box_xywh`
    (null when empty) and `rle` (COCO's compressed form); and `steps`, the recurrence: the live queries' indices and
    scores, step by step. Where masks are carried from key frames, it has `key` (whether the frame is one), `confidence`
    and `keys`, the indices of the frames they come from. A query whose words chose among things has `words`: `head`,
    what the engine was asked; `used`, each with `words`, `kind`, `value` and `decisive`; and `left`, what was left to
    the engine (docs/words.md). Where there are tracks, it has `objects`, those in the frame:
    `id`, `query` (its text), `score`, and the mask as for a query. If the SAM ensemble ran, each query also has `sam`:
    `matched`, `iou` (null without a match) and `replaced`. `masks` has the SHA-256 of each of the frame's mask files,
    by its path below the folder of masks. docs/formats.md describes every key.

    Scores are rounded to 6 decimals. Text outside ASCII is escaped (`\u8d64`), so a line stays one line for every
    reader, whatever a query holds. A line is handed to the operating system whole as soon as its frame is done; one
    that fails half-way, on a full disk for example, is taken back.
    """

    def __init__(self, path: Path, queries: Sequence[str], masks: MaskSink | None = None) -> None:
        """masks: writes the same frames, each before this does; None for lines without `masks`."""
        self.path = path
        self.queries = tuple(queries)
        self._masks = masks
        self._digest = hashlib.sha256()
        self._file: FileIO | None = None
        self._end = 0

    def __enter__(self) -> ResultsSink:
        with output_errors(self.path):
            self._file = self.path.open("xb", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with output_errors(self.path):
                self._file.close()

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the lines written so far, in hexadecimal; None before there is a file."""
        return None if self._file is None else self._digest.hexdigest()

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Append the frame's line.

        Raises:
            OutputError: if it cannot be written; the file then ends with the line before.
        """
        if self._file is None:
            raise ValueError("ResultsSink is written to inside its with block")
        record = frame_record(self.queries, frame, result)
        if self._masks is not None:
            record["masks"] = dict(self._masks.hashes)
        line = (json.dumps(record, allow_nan=False) + "\n").encode("ascii")
        rest = memoryview(line)
        end = self._end + len(rest)
        with output_errors(self.path):
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except BaseException:
                self._file.truncate(self._end)
                raise
        self._end = end
        self._digest.update(line)


def read_results(path: Path, *, masks: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the record of each frame, one line in memory at a time.

    A last line without a newline, as a killed process may leave it, is skipped.

    Args:
        path: a results.jsonl.
        masks: also decode the `rle` of each query and each of the `objects`, if any, into `mask`, (H, W) bool.

    Raises:
        InputError: if the file cannot be read, or a line is not such a record (the line's number is given).
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                yield _parse(line, f"{path}, line {number}", masks)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(line: bytes, where: str, masks: bool) -> dict[str, Any]:
    try:
        record: dict[str, Any] = load_json(line)
        for one in (*record["queries"], *record.get("objects", ())):
            if masks:
                one["mask"] = decode_rle(one["rle"])
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise InputError(f"{where}: not a record of carvid's: {error}") from error
    return record


def _score(value: float | np.floating[Any]) -> float:
    return round(float(value), SCORE_DIGITS)
