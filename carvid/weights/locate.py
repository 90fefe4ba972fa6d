"""Where weights lie on this machine: found, or fetched, and their names checked.

This module does not import torch, so weights that cannot be had or will not be read are reported at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from carvid.errors import WeightsError
from carvid.paths import is_dir
from carvid.weights.files import check_pickle, choose_files, names_in, weight_files
from carvid.weights.names import WeightsSpec


@dataclass(frozen=True)
class Located:
    """Weights that are on this machine.

    spec: what was asked for.
    weights: the file of weights, or every shard; none for random weights.
    allow_pickle: whether they may be pickles.
    """

    spec: WeightsSpec
    weights: tuple[Path, ...]
    allow_pickle: bool

    @property
    def folder(self) -> Path:
        """The folder that holds the weights and what belongs to them; there is none for random weights."""
        return self.weights[0].parent


@dataclass(frozen=True)
class LocatedWeights:
    """All weights of a run: f's, g's, and SAM's where it takes part."""

    proposer: Located
    classifier: Located
    sam: Located | None = None


def locate(
    spec: WeightsSpec | Located,
    *,
    offline: bool = False,
    allow_pickle: bool = False,
) -> Located:
    """Find the files of `spec`, fetching them if need be; what is located already is returned unchanged.

    Raises WeightsError as `hub.fetch`, and for a folder or file that will not be read.
    """
    if isinstance(spec, Located):
        return spec
    pickle = allow_pickle or spec.trusted_pickle
    if spec.kind == "random":
        return Located(spec, (), pickle)
    if spec.kind == "file":
        path = Path(spec.location)
        check_pickle(path, allow_pickle=pickle)
        return Located(spec, (path,), pickle)
    if spec.kind == "hub":
        # Imported here: the hub's client takes a tenth of a second, which weights on disk do not need.
        from carvid.weights import hub

        (folder,) = hub.fetch(spec, allow_pickle=allow_pickle, offline=offline)
    else:
        folder = Path(spec.location)
    if not is_dir(folder, WeightsError):
        raise WeightsError(f"no such folder: {folder} (if it is carvid's own, install carvid again)")
    files = choose_files(names_in(folder), spec.family, where=spec.name, pickle=pickle)
    return Located(spec, weight_files(folder, files), pickle)


def locate_all(
    proposer: WeightsSpec,
    classifier: WeightsSpec,
    sam: WeightsSpec | None = None,
    *,
    offline: bool = False,
    allow_pickle: bool = False,
) -> LocatedWeights:
    """Locate all weights of a run. Raises as `locate`, and before anything is fetched if that can be known."""
    # SAM first, as CLIP is the longer download.
    specs = [spec for spec in (sam, proposer, classifier) if spec is not None]
    found = {
        spec: locate(spec, offline=offline, allow_pickle=allow_pickle) for spec in specs if spec.kind != "hub"
    }
    if to_fetch := [spec for spec in dict.fromkeys(specs) if spec.kind == "hub"]:
        from carvid.weights import hub

        # Together, so that one is told at once of all that is to be fetched.
        hub.fetch(*to_fetch, allow_pickle=allow_pickle, offline=offline)
        found |= {spec: locate(spec, offline=True, allow_pickle=allow_pickle) for spec in to_fetch}
    return LocatedWeights(found[proposer], found[classifier], None if sam is None else found[sam])
