"""What a run says of a sample besides its masks: which queries the engine called present, and how sure it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from carvid.errors import OutputError
from carvid.media.json_text import load_json

RECORDS = "records"


@dataclass(frozen=True)
class AskedRecord:
    """One query set of a sample. Item by item: its queries, in how many frames each was called present, and its
    highest score over the frames, in [0, 1]."""

    queries: tuple[str, ...]
    present_frames: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Record:
    """A sample that is done. asked: by the query set's name."""

    sample: str
    frames: int
    asked: Mapping[str, AskedRecord]

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"


def joined(new: Record, before: Record | None) -> Record:
    """The new record, with the query sets of an earlier one that it does not have."""
    return new if before is None else replace(new, asked={**before.asked, **new.asked})


def record_path(sample: str) -> str:
    """Where a sample's record lies, below the output folder."""
    return f"{RECORDS}/{sample}.json"


def read_record(out: Path, sample: str) -> Record | None:
    """The record of a sample; None where there is none. Raises OutputError for a file that is no record."""
    path = out / record_path(sample)
    try:
        return record_of(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"{path} is no record of a sample ({error}); remove it to run {sample} again"
        ) from error


def record_of(data: bytes) -> Record:
    """What `Record.to_bytes` gave. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    values = load_json(data)
    asked = {
        name: AskedRecord(*(_listed(one[key]) for key in ("queries", "present_frames", "scores")))
        for name, one in values["asked"].items()
    }
    return Record(values["sample"], values["frames"], asked)


def _listed(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list")
    return tuple(values)
