"""`examine`: looks for everything, one part after the other; what is missing in one hides nothing of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carvid.doctor.cached import cached
from carvid.doctor.found import Found
from carvid.doctor.hardware import hardware
from carvid.doctor.software import software


@dataclass(frozen=True)
class Report:
    """What was found, in the order in which it is told."""

    found: tuple[Found, ...]

    def lines(self) -> list[str]:
        """A line for each, without paths and names of users."""
        width = max(len(one.name) for one in self.found)
        return [f"{one.name:{width}}  {one.words}" for one in self.found]

    def to_json(self) -> dict[str, Any]:
        """The data of each by its name; None where it is not there."""
        return {one.name: one.data for one in self.found}


def examine(
    device: str = "auto", *, probes: bool = True, say: Callable[[str], None] = lambda line: None
) -> Report:
    """Look at this machine, and measure a frame on `device` if `probes`; `say` is called with a line before that."""
    found = [*software(), *hardware(), *cached()]
    if probes:
        # Imported here: it brings OpenCV, whose absence the lines above tell.
        from carvid.doctor.probe import probe

        found += probe(device, say)
    return Report(tuple(found))
