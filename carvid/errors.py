"""The errors that a caller can do something about, each with its exit code on the command line.

The library raises; only `carvid.cli` turns an error into a message and an exit code. A message says what was
found, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable


class CarvidError(Exception):
    """Base of every error meant for the caller."""

    exit_code = 1


class UsageError(CarvidError):
    """An option, a query or a configuration that cannot be used (exit code 2)."""

    exit_code = 2


class InputError(CarvidError):
    """A source that cannot be read, or data that contradicts itself (exit code 3)."""

    exit_code = 3


class WeightsError(InputError):
    """Model weights that cannot be found, downloaded or verified (exit code 3)."""


class OutputError(CarvidError):
    """An output that already exists, cannot be written, or does not fit on the disk (exit code 4)."""

    exit_code = 4


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """For the end of a message about a name that is none of the `known`: the nearest of them, or nothing."""
    # Imported here: it is needed only where something has gone wrong.
    from difflib import get_close_matches

    by_spelling = {name.casefold(): name for name in known}
    near = get_close_matches(given.casefold(), by_spelling, n=1)
    return f"; did you mean {by_spelling[near[0]]}?" if near else ""
