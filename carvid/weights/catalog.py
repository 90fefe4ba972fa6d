"""What `carvid models` shows and fetches: named weights, their sizes, and what is cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carvid.errors import UsageError, WeightsError
from carvid.weights import hub
from carvid.weights.locate import Located, locate
from carvid.weights.names import Family, NamedWeights, WeightsSpec, resolve

#: Called with the repository, the bytes fetched so far and the bytes there are.
PullProgress = Callable[[str, int, int], None]

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ModelEntry:
    """One line of `carvid models`.

    sources: the repositories, or the folders of an embedded model; one where f and g share it.
    parameters: of all sources together; None where unknown (an embedded model: its size is on disk).
    size_mb: megabytes (10^6 bytes) to fetch or on disk, all sources together; 0 for random weights.
    cached: whether a run needs no network.
    """

    name: str
    note: str
    sources: tuple[str, ...]
    parameters: int | None
    size_mb: float
    cached: bool


def list_models(named: Iterable[NamedWeights]) -> tuple[ModelEntry, ...]:
    """An entry for each of the `named`, in their order. Asks no network."""
    return tuple(_entry(model) for model in named)


def pull(
    name: str, named: Mapping[str, NamedWeights], family: Family, *, progress: PullProgress | None = None
) -> tuple[Path, ...]:
    """Fetch the newest weights of one of the `named`, or of a repository `org/name`, into the hub's cache.

    family: the kind of network a repository is taken for if none of the `named` uses it.
    Returns the folder of each repository; embedded and random weights have none.
    Raises UsageError for a path, WeightsError as `hub.fetch`.
    """
    folders = []
    for spec in resolve(name, named, family):
        if spec.kind == "hub":
            report = None if progress is None else partial(progress, spec.location)
            folders.append(hub.fetch(spec, refresh=True, progress=report))
        elif name not in named:
            raise UsageError(f"{name} is a local path: there is nothing to fetch")
    return tuple(folders)


def _entry(model: NamedWeights) -> ModelEntry:
    counts = [spec.parameters for spec in model.specs]
    found = [_found(spec) for spec in model.specs]
    size = sum(map(_size_bytes, model.specs, found))
    return ModelEntry(
        name=model.name,
        note=model.note,
        sources=tuple(spec.location for spec in model.specs),
        parameters=None if None in counts else sum(count or 0 for count in counts),
        size_mb=round(size / 1e6, 1),
        cached=None not in found,
    )


def _found(spec: WeightsSpec) -> Located | None:
    try:
        return locate(spec, offline=True)
    except WeightsError:
        return None


def _size_bytes(spec: WeightsSpec, found: Located | None) -> int:
    if spec.kind == "hub":
        return (spec.parameters or 0) * _FLOAT32_BYTES
    return 0 if found is None else sum(path.stat().st_size for path in found.weights)
