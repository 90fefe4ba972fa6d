"""What decides the masks, compared: the fingerprint of a loaded model's description, and where two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from carvid.recipe.recipe import Recipe

# What a description says besides, so that a reader knows where things came from.
_TOLD_ONLY = ("name", "source", "preset", "model")


def deciding(description: Mapping[str, Any]) -> dict[str, Any]:
    """What in a model's description (`Model.describe`) decides the masks, by dotted names; not names and places."""
    # An option that is younger than the description stood at its default when that was written.
    told = {**_flat({**Recipe().describe(), "sam": None}), **_flat(description)}
    told.pop("device", None)
    return {name: value for name, value in told.items() if name.rpartition(".")[2] not in _TOLD_ONLY}


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256 of what decides the masks."""
    return hashlib.sha256(json.dumps(deciding(description), sort_keys=True).encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Where two descriptions differ in what decides the masks, a line each."""
    old, new = deciding(before), deciding(after)
    return [
        f"{name}: {_short(old.get(name))} before, {_short(new.get(name))} now"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted names, as JSON gives them back."""
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
