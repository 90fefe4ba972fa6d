"""What the shell completes beside commands and options: names of presets, models, formats and the like.

Runs at each press of Tab, so nothing here imports torch. Where no name matches, bash completes files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from carvid.recipe import preset_names
from carvid.recipe.option import About

Completion = Callable[[str], list[str]]


def among(names: Callable[[], Iterable[str]]) -> Completion:
    """Completes one of the `names`, which are asked for only when the shell does."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def clips() -> Iterable[str]:
    """The CLIPs known by name."""
    from carvid.clip.names import NAMED_CLIPS

    return NAMED_CLIPS


def sams() -> Iterable[str]:
    """The SAMs known by name."""
    from carvid.sam.names import NAMED_SAMS

    return NAMED_SAMS


def benchmarks() -> Iterable[str]:
    """The benchmarks."""
    from carvid.evaluate.benchmarks import BENCHMARKS

    return BENCHMARKS


def formats() -> Iterable[str]:
    """The export formats."""
    from carvid.export.formats import FORMATS

    return FORMATS


def devices() -> Iterable[str]:
    """The kinds of device; which of them there are, only torch knows."""
    return ("auto", "cpu", "cuda", "mps")


def readers() -> Iterable[str]:
    """The readers of video files; not asked of `carvid.stream`, which takes FFmpeg to import."""
    return ("pyav", "decord")


def weights() -> Iterable[str]:
    """All models known by name."""
    return (*clips(), *sams())


_FIELDS: dict[str, Callable[[], Iterable[str]]] = {
    "preset": preset_names,
    "model": clips,
    "proposer": clips,
    "classifier": clips,
    "sam": sams,
    "device": devices,
}


def of_field(name: str, known: About) -> Completion | None:
    """What completes the option of a recipe's field: its names or choices; None where anything may stand."""
    if name in _FIELDS:
        return among(_FIELDS[name])
    return among(lambda: known.choices) if known.choices else None
