"""Damage to files, drawn from a seed: the same seed gives the same damage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

#: Of every type that JSON has, with the values at its ends.
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 10**9, 10**30, 0.5, -2.5, float("nan"), float("inf"),
    "", "text", "\ud800", "../../x", [], [1, 2], [[[]]], ["text"], {}, {"a": 1},
)  # fmt: skip

_DEPTH = 20_000
_PLACE = "place of the nested value"


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """`data` with some bits flipped, its end cut off, a part of it twice, or a part over another."""
    if not data:
        return bytes([random.randrange(256)])
    kind = random.choice(("flip", "truncate", "duplicate", "splice"))
    start = random.randrange(len(data))
    end = min(len(data), start + random.choice((1, 4, 64, 1024)))
    if kind == "truncate":
        return data[:start]
    if kind == "duplicate":
        return data[:end] + data[start:end] + data[end:]
    changed = bytearray(data)
    if kind == "splice":
        other = random.randrange(len(data))
        changed[start:end] = data[other : other + end - start]
    if kind == "flip" or changed == data:
        for place in random.sample(range(len(data)), min(len(data), random.choice((1, 3, 20)))):
            changed[place] ^= 1 << random.randrange(8)
    return bytes(changed)


def mutate_json(data: bytes, random: Random) -> bytes:
    """The JSON `data` with a value of another type, without one of its keys, or with a value nested deeply."""
    content = json.loads(data)
    places = list(_places(content))
    if not places:
        return json.dumps(random.choice(STRANGE)).encode()
    inside, key = random.choice(places)
    kind = random.choice(("replace", "replace", "delete", "nest"))
    if kind == "delete":
        del inside[key]
    elif kind == "replace":
        before = json.dumps(inside[key])
        inside[key] = random.choice([value for value in STRANGE if json.dumps(value) != before])
    else:
        nested, inside[key] = json.dumps(inside[key]), _PLACE
        opening, closing = random.choice((('{"a":', "}"), ("[", "]")))
        text = json.dumps(content).replace(json.dumps(_PLACE), opening * _DEPTH + nested + closing * _DEPTH)
        return text.encode()
    return json.dumps(content).encode()


def mutate_safetensors(data: bytes, random: Random) -> bytes:
    """A safetensors file whose header is damaged as JSON or as bytes, or whose bytes are damaged anywhere."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    kind = random.choice(("json", "header", "anywhere"))
    if kind == "anywhere":
        return mutate_bytes(data, random)
    header = mutate_json(header, random) if kind == "json" else mutate_bytes(header, random)
    return len(header).to_bytes(8, "little") + header + rest


def mutate_lines(data: bytes, random: Random) -> bytes:
    """A file of JSON lines with one of them damaged as JSON, lost, given twice or moved to the end."""
    lines = data.splitlines()
    index = random.randrange(len(lines))
    kind = random.choice(("json", "json", "json", "lose", "twice", "move"))
    if kind == "json":
        lines[index] = mutate_json(lines[index], random)
    elif kind == "twice":
        lines.insert(index, lines[index])
    else:
        line = lines.pop(index)
        lines += [line] if kind == "move" else []
    return b"".join(line + b"\n" for line in lines)


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in `content` with each of its keys or indices."""
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        yield content, key
        yield from _places(content[key])


_BY_SUFFIX: dict[str, tuple[Callable[[bytes, Random], bytes], ...]] = {
    ".json": (mutate_json, mutate_json, mutate_bytes),
    ".jsonl": (mutate_lines, mutate_lines, mutate_bytes),
    ".safetensors": (mutate_safetensors,),
}


def damage(path: Path, random: Random) -> None:
    """Damage the file at `path` in place, in a way that suits its kind."""
    mutate = random.choice(_BY_SUFFIX.get(path.suffix, (mutate_bytes,)))
    path.write_bytes(mutate(path.read_bytes(), random))
