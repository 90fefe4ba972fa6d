"""Whether the weights that a record names are on this machine, by their hashes. Loads no network, downloads nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carvid.clip.names import CLIP, NAMED_CLIPS
from carvid.errors import InputError, UsageError
from carvid.paths import exists
from carvid.sam.names import NAMED_SAMS, SAM
from carvid.verify.check import DIFFERS, OK, UNCHECKED, Check
from carvid.weights.files import sha256_of
from carvid.weights.locate import Located, locate
from carvid.weights.names import WeightsSpec, resolve


@dataclass(frozen=True)
class FoundWeights:
    """The weights of one role: proposer, classifier or sam.

    given: what a recipe names them by, here; None unless the check is ok.
    allow_pickle: whether they may be pickles.
    """

    role: str
    check: Check
    given: str | None = None
    allow_pickle: bool = False


def find_weights(description: Mapping[str, Any]) -> tuple[FoundWeights, ...]:
    """Check all weights of a model's description (`carvid.model.Model.describe`)."""
    models, sam = description.get("models"), description.get("sam")
    entries = dict(models) if isinstance(models, dict) else {}
    if sam is not None:
        entries["sam"] = sam
    if not entries:
        return (FoundWeights("", Check("weights", UNCHECKED, "the record names none")),)
    hashes: dict[tuple[Path, ...], str] = {}
    return tuple(_find(role, entry, hashes) for role, entry in entries.items())


def _find(role: str, entry: Any, hashes: dict[tuple[Path, ...], str]) -> FoundWeights:
    name = f"weights of the {'SAM' if role == 'sam' else role}"
    told = [entry.get(key) for key in ("name", "sha256", "source")] if isinstance(entry, dict) else []
    texts = [each for each in told if isinstance(each, str)]
    if len(texts) < 3:
        return FoundWeights(
            role, Check(name, UNCHECKED, "the record does not give their name, hash and source")
        )
    called, sha256, source = texts
    if called.startswith("random:"):
        return _find_random(role, name, called, sha256, source)
    others, reasons = [], []
    for spec in _specs(role, called, source):
        # As a run without --allow-pickle chooses among several files, and as one with it does.
        for pickle in (False, True):
            try:
                located = locate(spec, offline=True, allow_pickle=pickle)
                if located.weights not in hashes:
                    hashes[located.weights] = sha256_of(located.weights)
            except (InputError, UsageError, OSError) as error:
                reasons.append(str(error))
                continue
            if hashes[located.weights] == sha256:
                where = str(_place(located))
                return FoundWeights(role, Check(name, OK, where), where, located.allow_pickle)
            others.append(
                f"{_place(located)} has the SHA-256 {hashes[located.weights]}, {sha256} is recorded"
            )
    if others:
        return FoundWeights(role, Check(name, DIFFERS, others[0]))
    why = reasons[0] if reasons else f"there is nothing at {source}"
    return FoundWeights(role, Check(name, UNCHECKED, why))


def _find_random(role: str, name: str, called: str, sha256: str, source: str) -> FoundWeights:
    # Random weights have no file: their hash is that of the words that say how they are drawn.
    if hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest() != sha256:
        return FoundWeights(role, Check(name, DIFFERS, f"{source!r} has not the recorded hash"))
    return FoundWeights(role, Check(name, OK, source), called)


def _specs(role: str, called: str, source: str) -> Iterator[WeightsSpec]:
    """Where the weights may be: where they were, and where their name leads to here."""
    family, named = (SAM, NAMED_SAMS) if role == "sam" else (CLIP, NAMED_CLIPS)
    path = Path(source)
    # A name that is a path means another one in another folder, so only the path that was read counts.
    with suppress(InputError, UsageError):
        if path.is_absolute() and exists(path, InputError):
            yield from resolve(path, {}, family)
    yield from (spec for each in named.values() for spec in each.specs if spec.name == called)
    if "models--" in source:
        # The hub's cache.
        yield WeightsSpec(called, "hub", called, family)


def _place(located: Located) -> Path:
    return located.weights[0] if located.spec.kind == "file" else located.folder
