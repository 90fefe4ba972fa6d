"""What `carvid models` shows and fetches: named weights, their sizes, and what is cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from carvid.errors import UsageError, WeightsError
from carvid.weights import hub
from carvid.weights.locate import Located, locate
from carvid.weights.names import FLOAT32_BYTES, Family, NamedWeights, WeightsSpec, resolve


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
    name: str, named: Mapping[str, NamedWeights], family: Family, *, progress: hub.FetchProgress | None = None
) -> tuple[Path, ...]:
    """Fetch the newest weights of one of the `named`, or of a repository `org/name`, into the hub's cache.

    family: the kind of network a repository is taken for if none of the `named` uses it.
    Returns the folder of each repository; embedded and random weights have none.
    Raises UsageError for a path, WeightsError as `hub.fetch`.
    """
    specs = resolve(name, named, family)
    if name not in named and any(spec.kind != "hub" for spec in specs):
        raise UsageError(f"{name} is a local path: there is nothing to fetch")
    return hub.fetch(*(spec for spec in specs if spec.kind == "hub"), refresh=True, progress=progress)


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
        return (spec.parameters or 0) * FLOAT32_BYTES
    return 0 if found is None else sum(path.stat().st_size for path in found.weights)
