"""JSON written item by item: arrays and objects may be iterators, of which one item at a time is in memory."""

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

    value: what `json.dumps` takes, and also iterators, written as arrays, and `Members`, written as objects,
        one item per line. They may be nested in iterators, `Members` and dicts, but not in lists.
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
