"""The fingerprint of a loaded model's description, and where two descriptions differ in what decides the masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from carvid.recipe.option import about
from carvid.recipe.recipe import Recipe
from carvid.recipe.settings import Settings

# Keys of a description that only say where things came from.
_ORIGINS = ("name", "source", "preset", "variant", "speed", "model")


def deciding(description: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a model's description (`Model.describe`) that decides the masks, by dotted names."""
    # A description older than an option was written when that option had, in effect, its default or its former value.
    former = {
        (f"settings.{entry.name}" if entry in fields(Settings) else entry.name): about(entry).formerly
        for entry in fields(Recipe)
        if about(entry).formerly is not None
    }
    known = {**_flat({**Recipe().describe(), "sam": None}), **former, **_flat(description)}
    return _deciding(known)


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of the part of a description that decides the masks."""
    return _sha256(deciding(description))


def is_fingerprint(sha256: str, description: Mapping[str, Any]) -> bool:
    """Whether it is the `fingerprint` of the description, as this carvid makes it or as an earlier one did.

    That one knew no later option, so that its fingerprint covers what the description itself tells alone.
    """
    told = {"sam": None, **_flat(description)}
    return sha256 in (fingerprint(description), _sha256(_deciding(told)))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """One line for each difference between two descriptions in what decides the masks."""
    old, new = deciding(before), deciding(after)
    return [
        f"{name}: {_short(old.get(name))} before, {_short(new.get(name))} now"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _deciding(known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in known.items()
        if name != "device" and name.rpartition(".")[2] not in _ORIGINS
    }


def _sha256(known: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted names, in the types they have after a round trip through JSON."""
    if not isinstance(value, Mapping):
        return {name: json.loads(json.dumps(value))}
    return {
        dotted: leaf
        for key, inner in value.items()
        for dotted, leaf in _flat(inner, f"{name}.{key}" if name else str(key)).items()
    }


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
