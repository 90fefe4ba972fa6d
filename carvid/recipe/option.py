"""One field of a recipe: its default, its check and its command-line help, written once."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from carvid.errors import UsageError, did_you_mean

#: A size in px, or the word `full` for all there is.
Size: TypeAlias = int | Literal["full"]

_ABOUT = "about"

_KINDS: dict[Any, tuple[type | tuple[type, ...], str]] = {
    bool: (bool, "true or false"),
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    str: (str, "a text"),
    type(None): (type(None), "nothing"),
}


@dataclass(frozen=True)
class About:
    """What describes a field besides its type and default.

    help: one line for `--help`; a field without it is not an option of the command line.
    group: the heading of its option in `--help`.
    flag: the option's name, where it is not the field's name with dashes.
    choices: the texts it may be; empty for any.
    low, high: the least and the greatest number allowed; None for no limit.
    decides: whether recipes that differ only in this field may give different masks.
    parse: turns what a preset, a keyword or the command line gives into the field's value; may raise UsageError.
    given: the type of what the command line gives to `parse`.
    formerly: what held before there was such a field, if it is not the default.
    """

    help: str = ""
    group: str = ""
    flag: str = ""
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    decides: bool = True
    parse: Callable[[Any], Any] | None = None
    given: type = str
    formerly: Any = None


def option(default: Any, **about: Any) -> Any:
    """A field of a frozen dataclass with a default and an `About`."""
    return field(default=default, metadata={_ABOUT: About(**about)})


def about(entry: Any) -> About:
    """The `About` of a dataclass field; an empty one for a field made without `option`."""
    found: About = entry.metadata.get(_ABOUT, About())
    return found


def check_fields(options: Any, *, prefix: str = "") -> None:
    """Raise UsageError for the first field of a dataclass whose value has the wrong type, range or choice.

    prefix: put before the field's name in the message.
    """
    hints = get_type_hints(type(options))
    for entry in fields(options):
        known, value, name = about(entry), getattr(options, entry.name), prefix + entry.name
        if value is None and type(None) in get_args(hints[entry.name]):
            continue
        if known.choices and not isinstance(value, tuple) and value not in known.choices:
            near = did_you_mean(str(value), known.choices)
            raise UsageError(f"{name} is {value!r}; expected one of {', '.join(known.choices)}{near}")
        words = expected(hints[entry.name], known)
        if not _fits(value, hints[entry.name]) or not _within(value, known):
            raise UsageError(f"{name} is {value!r}; expected {words}")


def expected(hint: Any, known: About) -> str:
    """What values a field takes, in words."""
    hint = bare(hint)
    if get_origin(hint) is tuple:
        return "a list of texts" if get_args(hint)[0] is str else "a list of lists of texts"
    if hint == Size:
        words = f"full or {_KINDS[int][1]}"
    else:
        words = _KINDS[hint][1] if hint in _KINDS else f"{hint.__name__}"
    if known.low is not None and known.high is not None:
        return f"{words} from {known.low:g} to {known.high:g}"
    return words if known.low is None else f"{words} from {known.low:g}"


def bare(hint: Any) -> Any:
    """The type without None: int for `int | None`."""
    if get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(each for each in get_args(hint) if each is not type(None))]  # noqa: UP007
    return hint


def frozen(value: Any, depth: int = 2) -> Any:
    """Lists as tuples, two deep: no field has more, and in YAML a list may hold itself."""
    if depth and isinstance(value, list | tuple):
        return tuple(frozen(item, depth - 1) for item in value)
    return value


def made(name: str, kind: Any, given: Any) -> Any:
    """The dataclass `kind` out of a mapping of its fields; one that it holds may be given as a mapping too.

    name: what it is called in messages. Raises UsageError for anything but a mapping, for names that are no fields and
    for a field that is missing, and what `kind` raises.
    """
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"{name} is {given!r}; expected names with values")
    known = {entry.name: entry for entry in fields(kind)}
    if unknown := [str(key) for key in given if key not in known]:
        raise UsageError(f"{name}: unknown {', '.join(unknown)}; expected some of {', '.join(known)}")
    for entry in known.values():
        if entry.name not in given and entry.default is entry.default_factory is MISSING:
            raise UsageError(f"{name}: {entry.name} is missing")
    hints = get_type_hints(kind)
    return kind(
        **{
            key: made(f"{name}.{key}", hints[key], value) if is_dataclass(hints[key]) else value
            for key, value in given.items()
        }
    )


def parsed(name: str, value: Any, hint: Any, known: About) -> Any:
    """The value of a field, from what was given for it in the types of YAML and JSON, or as text for a `Size`.

    Raises UsageError for anything but a list where a list is expected, and whatever `About.parse` raises.
    """
    kind = bare(hint)
    if get_origin(kind) is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise UsageError(f"{name} is {value!r}; expected {expected(hint, known)}")
        return frozen(value)
    if kind == Size:
        # Python makes no number of thousands of digits.
        is_number = isinstance(value, str) and value.isdecimal() and len(value) <= 9
        return int(value) if is_number else value
    if known.parse is not None and not (isinstance(kind, type) and type(value) is kind):
        return known.parse(value)
    return value


def _fits(value: Any, hint: Any) -> bool:
    kind = bare(hint)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(kind)[0]) for item in value)
    if kind == Size:
        return value == "full" or _fits(value, int)
    if kind in _KINDS:
        # True counts as 1 in Python; `yes` where a preset needs a number is a mistake.
        return isinstance(value, _KINDS[kind][0]) and (kind is bool or not isinstance(value, bool))
    return isinstance(value, kind)


def _within(value: Any, known: About) -> bool:
    if not isinstance(value, int | float):
        return True
    low, high = known.low, known.high
    return (low is None or value >= low) and (high is None or value <= high)
