"""What one check found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OK, DIFFERS, UNCHECKED = "ok", "differs", "unchecked"

# How many faults a line names.
_SHOWN = 3


@dataclass(frozen=True)
class Check:
    """One check.

    name: of what. state: `OK`; `DIFFERS` where something is not what was recorded; `UNCHECKED` where that cannot be
    known. why: the reason and, where it is ok, what was checked; may be empty.
    """

    name: str
    state: str
    why: str = ""

    def told(self) -> str:
        """In a line."""
        state = "cannot be checked" if self.state == UNCHECKED else self.state
        return f"{self.name}: {state}{f': {self.why}' if self.why else ''}"


class Faults:
    """Collects what differs; keeps the first few, however many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, found: Iterable[str]) -> None:
        for fault in found:
            self.count += 1
            if len(self._first) < _SHOWN:
                self._first.append(fault)

    def check(self, name: str, why: str) -> Check:
        """The check of that name. why: what an ok says."""
        if not self.count:
            return Check(name, OK, why)
        more = f"; and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
        return Check(name, DIFFERS, "; ".join(self._first) + more)


def is_whole(checks: Sequence[Check]) -> bool:
    """Whether something was found to be as recorded, and nothing to differ."""
    states = {each.state for each in checks}
    return OK in states and DIFFERS not in states
