"""One error for everything that is wrong with a tree of files."""

from __future__ import annotations

from collections.abc import Sequence

from carvid.errors import InputError

LISTED = 20
"""How many problems an error names; the rest it only counts."""


def listing(items: Sequence[str], separator: str = "\n  ", most: int = LISTED) -> str:
    """The first items, joined, and how many more there are."""
    more = [f"... and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*items[:most], *more])


def refuse_if_any(problems: Sequence[str], heading: str, remedy: str) -> None:
    """Raises InputError with the heading, the problems (bounded) and what to do, if there are any."""
    if problems:
        found = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise InputError(f"{heading}: {found}\n  {listing(problems)}\n{remedy}")
