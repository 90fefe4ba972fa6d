"""One knob for people who do not read papers: how much of the exact method to trade for time."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from carvid.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from carvid.recipe.recipe import Recipe

#: What each speed sets, by the names of `load_recipe`; what a preset or the caller gives comes before it. `balanced`
#: sets nothing: it is the recipe's defaults.
SPEEDS = MappingProxyType(
    {
        "exact": {"size": "full", "keyframes": 1, "crf_size": "full"},
        "balanced": {},
        "live": {
            "model": "clip-b16",
            "size": 224,
            "keyframes": 10,
            "causal": True,
            "flow_size": 240,
            "crf_size": 240,
        },
    }
)


# What a speed sets, in the order in which it is told; the CLIPs are told elsewhere.
_TOLD = tuple(dict.fromkeys(name for values in SPEEDS.values() for name in values if name != "model"))


def in_options(recipe: Recipe) -> str:
    """A recipe's speed, and the options that it comes to: `--speed balanced: --size 400 --keyframes auto`."""
    words = [f"--speed {recipe.speed}:"]
    for name in _TOLD:
        value, flag = getattr(recipe, name), "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words += [flag] if value else []
        else:
            words += [flag, "auto" if value is None else str(value)]
    return " ".join(words)


def values_of(speed: Any) -> dict[str, Any]:
    """What a speed sets. Raises UsageError for an unknown one."""
    if not isinstance(speed, str) or speed not in SPEEDS:
        near = did_you_mean(str(speed), SPEEDS)
        raise UsageError(f"speed is {speed!r}; expected one of {', '.join(SPEEDS)}{near}")
    return dict(SPEEDS[speed])
