"""What the columns of a dataset hold. A database may be damaged, and SQLite keeps any value in any column."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from carvid.errors import InputError

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Column:
    """What a column may hold.

    words: the same in words. kinds: the types. low, high: of a number, which is finite. choices: of a text, if few.
    null: whether it may be NULL.
    """

    words: str
    kinds: tuple[type, ...]
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    null: bool = False

    def fits(self, value: Any) -> bool:
        if value is None:
            return self.null
        if not isinstance(value, self.kinds):
            return False
        if isinstance(value, int | float):
            return self.low <= value <= self.high and math.isfinite(value)
        return not self.choices or value in self.choices


Columns: TypeAlias = Mapping[str, Column]
"""By name, `table.column`; in the order in which they are read."""

ID = Column("a whole number from 1", (int,), 1)
COUNT = Column("a whole number from 0", (int,), 0)
SIDE_PX = Column("a whole number from 1 to 1000000", (int,), 1, 10**6)
NUMBER = Column("a number", (float, int))
TEXT = Column("a text", (str,))
PATH = Column("a text or bytes", (str, bytes))


def one_of(*choices: str) -> Column:
    return Column(f"one of {', '.join(choices)}", (str,), choices=choices)


def or_null(column: Column) -> Column:
    return replace(column, words=f"{column.words}, or NULL", null=True)


def table(name: str, /, **columns: Column) -> Columns:
    return {f"{name}.{key}": column for key, column in columns.items()}


def check(path: Path, columns: Columns, values: Iterable[Any]) -> None:
    """Raise InputError, naming the database at `path`, for the first value that does not fit its column."""
    for (name, column), value in zip(columns.items(), values, strict=True):
        if not column.fits(value):
            shown = "NULL" if value is None else repr(value)
            if len(shown) > _SHOWN_CHARACTERS:
                shown = shown[: _SHOWN_CHARACTERS - 3] + "..."
            raise damaged(path, f"its {name} is {shown}, expected {column.words}")


def damaged(path: Path, what: str) -> InputError:
    """The error for a database whose content cannot be what carvid wrote. what: a sentence of what was found."""
    return InputError(
        f"cannot read the dataset {path}: {what}; restore it from a copy, or annotate into a new folder"
    )
