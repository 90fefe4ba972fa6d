"""JSON written as it is made: arrays and objects may be iterators, one item of which is in memory at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Members:
    """A JSON object whose members come one by one, as (name, value)."""

    items: Iterable[tuple[str, Any]]


def write_json(write: Callable[[str], None], value: Any) -> None:
    """Write `value` as JSON in ASCII through `write`.

    value: what `json.dumps` takes; besides, an iterator is an array and `Members` an object. Their items
        stand on a line each. Iterators are found in iterators, `Members` and dicts, not in lists.
    """
    if isinstance(value, Members):
        _write_items(write, "{}", ((_named(name), item) for name, item in value.items))
    elif isinstance(value, Iterator):
        _write_items(write, "[]", (("", item) for item in value))
    elif isinstance(value, dict):
        write("{")
        for place, (name, item) in enumerate(value.items()):
            write((", " if place else "") + _named(name))
            write_json(write, item)
        write("}")
    else:
        write(json.dumps(value, allow_nan=False))


def _write_items(write: Callable[[str], None], brackets: str, items: Iterable[tuple[str, Any]]) -> None:
    write(brackets[0])
    separator = "\n"
    for prefix, item in items:
        write(separator + prefix)
        write_json(write, item)
        separator = ",\n"
    write("\n" + brackets[1])


def _named(name: str) -> str:
    return json.dumps(name) + ": "
