"""Where a SAM's files come from: the hub or this machine; and what `carvid models` shows and fetches of them.

Does not import torch, so weights that are not to be had are reported at once.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from carvid.clip.catalog import ModelEntry, PullProgress
from carvid.errors import UsageError
from carvid.sam.names import NAMED_SAMS, NamedSam, SamSpec, resolve_sam
from carvid.weights import hub
from carvid.weights.files import choose_files

#: What fetching from the hub needs to know of a SAM.
WANTED = hub.Wanted(
    partial(choose_files, model="a SAM", vocabulary=False),
    "name a local folder in that format or a file of segment-anything's weights (--sam DIR|FILE); or run "
    "without --sam",
)

_FLOAT32_BYTES = 4


def locate(spec: SamSpec, *, offline: bool = False, allow_pickle: bool = False) -> Path | None:
    """Where the files of `spec` lie on this machine, fetched where need be; None for random weights.

    Raises WeightsError for weights that are not to be had.
    """
    return hub.locate(spec, offline=offline, allow_pickle=allow_pickle, wanted=WANTED)


def list_sams() -> tuple[ModelEntry, ...]:
    """Every named SAM, in the registry's order. Asks no network."""
    return tuple(_entry(model) for model in NAMED_SAMS.values())


def pull(name: str, *, progress: PullProgress | None = None) -> tuple[Path, ...]:
    """Fetch the newest weights of a named SAM or of a repository `org/name` into the hub's cache.

    Returns its folder; nothing for random weights. Raises UsageError for a path, WeightsError as `hub.fetch`.
    """
    spec = resolve_sam(name)
    if spec.kind == "random":
        return ()
    if spec.kind != "hub":
        raise UsageError(f"{name} is a local path: there is nothing to fetch")

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(spec.location, done, total)

    return (hub.fetch(spec.location, pickle=False, refresh=True, progress=report, wanted=WANTED),)


def _entry(model: NamedSam) -> ModelEntry:
    spec = model.spec
    random = spec.kind == "random"
    return ModelEntry(
        name=model.name,
        note=model.note,
        sources=(spec.location,),
        parameters=model.parameters,
        size_mb=0.0 if random else round(model.parameters * _FLOAT32_BYTES / 1e6, 1),
        cached=random or hub.cached(spec.location, pickle=False, wanted=WANTED) is not None,
    )
