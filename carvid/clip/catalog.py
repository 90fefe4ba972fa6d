"""What `carvid models` shows and fetches: the named models, their sizes, and what is cached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carvid.clip.names import NAMED_MODELS, ClipSpec, NamedModel, resolve_pair
from carvid.errors import UsageError, WeightsError
from carvid.weights import hub
from carvid.weights.files import choose_files, names_in, weight_files

#: Called with the repository, the bytes fetched so far and the bytes there are.
PullProgress = Callable[[str, int, int], None]

#: Parameters of the architectures behind the named models, both CLIP halves and the projections.
PARAMETERS = {
    "openai/clip-vit-base-patch16": 149_620_737,
    "openai/clip-vit-large-patch14": 427_616_513,
    "vit-b16": 149_620_737,
    "vit-l14": 427_616_513,
}
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


def list_models() -> tuple[ModelEntry, ...]:
    """Every named model, in the registry's order. Asks no network."""
    return tuple(_entry(model) for model in NAMED_MODELS.values())


def pull(name: str, *, progress: PullProgress | None = None) -> tuple[Path, ...]:
    """Fetch the newest weights of a named model or of a repository `org/name` into the hub's cache.

    Returns the folder of each source. Raises UsageError for a path, WeightsError as `hub.fetch`.
    """
    folders = []
    for spec in _unique(*resolve_pair(name)):
        if spec.kind != "hub":
            if name in NAMED_MODELS:
                continue  # embedded or random: there is nothing to fetch
            raise UsageError(f"{name} is a local path: there is nothing to fetch")
        location = spec.location

        def report(done: int, total: int, location: str = location) -> None:
            if progress is not None:
                progress(location, done, total)

        folders.append(hub.fetch(location, pickle=spec.trusted_pickle, refresh=True, progress=report))
    return tuple(folders)


def _entry(model: NamedModel) -> ModelEntry:
    specs = _unique(model.proposer, model.classifier)
    known = [PARAMETERS[spec.location] for spec in specs if spec.location in PARAMETERS]
    parameters = sum(known) if len(known) == len(specs) else None
    return ModelEntry(
        name=model.name,
        note=model.note,
        sources=tuple(spec.location for spec in specs),
        parameters=parameters,
        size_mb=round(sum(_size_bytes(spec) for spec in specs) / 1e6, 1),
        cached=all(_is_cached(spec) for spec in specs),
    )


def _unique(proposer: ClipSpec, classifier: ClipSpec) -> tuple[ClipSpec, ...]:
    return (proposer,) if proposer == classifier else (proposer, classifier)


def _size_bytes(spec: ClipSpec) -> int:
    if spec.kind == "hub":
        return PARAMETERS[spec.location] * _FLOAT32_BYTES
    return sum(path.stat().st_size for path in _folder_weights(spec)) if spec.kind == "folder" else 0


def _is_cached(spec: ClipSpec) -> bool:
    if spec.kind == "hub":
        return hub.cached(spec.location, pickle=spec.trusted_pickle) is not None
    return bool(_folder_weights(spec)) if spec.kind == "folder" else True


def _folder_weights(spec: ClipSpec) -> tuple[Path, ...]:
    folder = Path(spec.location)
    if not folder.is_dir():
        return ()
    try:
        return weight_files(folder, choose_files(names_in(folder), where=spec.name, pickle=False))
    except WeightsError:
        return ()
