"""Where weights lie on this machine: found, or fetched, and their names checked.

This module does not import torch, so weights that cannot be had or will not be read are reported at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from carvid.errors import WeightsError
from carvid.paths import is_dir
from carvid.weights.files import check_pickle, choose_files, names_in, weight_files
from carvid.weights.names import WeightsSpec

if TYPE_CHECKING:
    from carvid.weights import hub


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
    progress: hub.FetchProgress | None = None,
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

        folder = hub.fetch(spec, allow_pickle=allow_pickle, offline=offline, progress=progress)
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
    """Locate all weights of a run. Raises as `locate`."""

    def find(spec: WeightsSpec) -> Located:
        return locate(spec, offline=offline, allow_pickle=allow_pickle)

    # SAM first: that it is unavailable should be known before CLIP, the longer download, is fetched.
    located_sam = None if sam is None else find(sam)
    return LocatedWeights(find(proposer), find(classifier), located_sam)
