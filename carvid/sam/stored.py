"""A SAM as it is found: a folder, a single file, or a recipe for random weights; no tensor checked yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from carvid.clip.convert import strip_wrapper
from carvid.errors import WeightsError
from carvid.sam.architectures import ARCHITECTURES, RANDOM_SEED
from carvid.sam.convert import convert_state_dict, infer_config, is_original_layout
from carvid.weights.files import CONFIG, PREPROCESSOR, ClipFiles, names_in, read_json, sha256_of, weight_files
from carvid.weights.tensors import read_state_dict

#: model_type of the configurations that are read; SAM 2's checkpoints hold the video model.
MODEL_TYPES = ("sam", "sam_hq", "sam2", "sam2_video")


@dataclass(frozen=True, eq=False)
class StoredSam:
    """A SAM as found, in transformers' names.

    config: the model's configuration as a dictionary, model_type included. state: the tensors; None where
    they are to be drawn at random. preprocessor: what preprocessor_config.json says.
    sha256: of the file(s) of weights as stored; of the recipe for random weights.
    source: the folder or file read, or the recipe.
    """

    config: dict[str, Any]
    state: dict[str, torch.Tensor] | None
    preprocessor: Mapping[str, Any]
    sha256: str
    source: str


def from_folder(
    folder: Path, name: str, choose: Callable[..., ClipFiles], *, allow_pickle: bool
) -> StoredSam:
    """The SAM in a local folder in Hugging Face's format; `choose` picks its files. Raises WeightsError."""
    if not folder.is_dir():
        raise WeightsError(f"no such folder: {folder}")
    paths = weight_files(folder, choose(names_in(folder), where=name, pickle=allow_pickle))
    config = read_json(folder / CONFIG)
    if config.get("model_type") not in MODEL_TYPES:
        raise WeightsError(
            f"{name} is a {config.get('model_type')!r} model by its {CONFIG}: expected one of "
            f"{', '.join(MODEL_TYPES)}"
        )
    preprocessor = folder / PREPROCESSOR
    return StoredSam(
        config=config,
        state=read_state_dict(paths, allow_pickle=allow_pickle),
        preprocessor=read_json(preprocessor) if preprocessor.is_file() else {},
        sha256=sha256_of(paths),
        source=str(folder),
    )


def from_file(path: Path, *, allow_pickle: bool) -> StoredSam:
    """The SAM in one file in segment-anything's layout. Raises WeightsError."""
    state = strip_wrapper(read_state_dict([path], allow_pickle=allow_pickle))
    if not is_original_layout(state):
        raise WeightsError(
            f"{path} holds no image_encoder.*: expected segment-anything's layout. For Hugging Face's, name "
            f"the folder that holds {CONFIG} as well"
        )
    where = str(path)
    return StoredSam(
        config=infer_config(state, where=where),
        state=convert_state_dict(state, where=where),
        preprocessor={},
        sha256=sha256_of([path]),
        source=where,
    )


def from_recipe(architecture: str) -> StoredSam:
    """A named architecture whose weights are still to be drawn."""
    recipe = f"random weights, SAM {architecture}, seed {RANDOM_SEED}"
    return StoredSam(
        config=deepcopy(ARCHITECTURES[architecture]),
        state=None,
        preprocessor={},
        sha256=hashlib.sha256(recipe.encode()).hexdigest(),
        source=recipe,
    )
