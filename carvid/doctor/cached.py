"""The weights in the hub's cache, and whether the hub can be asked for more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from carvid.doctor.found import Found, scrubbed
from carvid.errors import WeightsError

# Told whether they are set, never to what: a mirror's address or a token is nobody else's business.
VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "HTTPS_PROXY")


def cached() -> list[Found]:
    """What there is; never raises for what there is not. Asks the hub for an answer, unless it is offline."""
    try:
        from carvid.weights import hub
    except ImportError as error:
        return [Found("weights", f"unknown: huggingface_hub cannot be used ({scrubbed(error)})", None)]
    variables = [name for name in VARIABLES if os.environ.get(name)]
    set_words = f"; set: {', '.join(variables)}" if variables else ""
    refusal = hub.refusal()
    state = "answers" if refusal is None else refusal
    return [
        _weights(hub.cache_folder()),
        Found("hub", f"{state}{set_words}", {"answers": refusal is None, "set": variables}),
    ]


def _weights(folder: Path) -> Found:
    from carvid.clip.names import NAMED_CLIPS
    from carvid.sam.names import NAMED_SAMS
    from carvid.weights.locate import locate

    named = [*NAMED_CLIPS.values(), *NAMED_SAMS.values()]
    specs = {spec.location: spec for model in named for spec in model.specs if spec.kind == "hub"}
    found: dict[str, dict[str, Any]] = {}
    for location, spec in specs.items():
        try:
            size = sum(path.stat().st_size for path in locate(spec, offline=True).weights)
            found[location] = {"complete": True, "bytes": size}
        except WeightsError:
            if size := _begun(folder / f"models--{location.replace('/', '--')}" / "blobs"):
                found[location] = {"complete": False, "bytes": size}
    told = [
        f"{location} {one['bytes'] / 1e6:.0f} MB {'complete' if one['complete'] else 'incomplete'}"
        for location, one in found.items()
    ]
    words = ", ".join(told) or "none of those that `carvid models` names is in the hub's cache"
    room = _free(folder)
    if room is not None:
        words += f"; {room / 1e9:.0f} GB free on its disk"
    return Found("weights", words, {"cached": found, "free_bytes": room})


def _begun(blobs: Path) -> int:
    """The bytes of a repository that are in the cache."""
    return sum(path.stat().st_size for path in blobs.glob("*") if path.is_file())


def _free(folder: Path) -> int | None:
    try:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free
    except OSError:
        return None
