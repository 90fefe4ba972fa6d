"""Weights as they are found: a folder, a single file, or a recipe for random weights; no tensor checked yet."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from carvid.errors import WeightsError
from carvid.paths import is_file
from carvid.weights.files import CONFIG, PREPROCESSOR, read_json, sha256_of
from carvid.weights.locate import Located
from carvid.weights.tensors import read_state_dict


@dataclass(frozen=True, eq=False)
class Stored:
    """A network as found, in transformers' names.

    config: the model's configuration, model_type included. state: the tensors; None where they are to be
    drawn at random. sha256: of the file(s) of weights as stored; of the recipe for random weights.
    source: the folder or file read, or the recipe.
    preprocessor: what preprocessor_config.json says, or an equivalent. preprocessor_source: where it stands.
    """

    config: dict[str, Any]
    state: dict[str, torch.Tensor] | None
    sha256: str
    source: str
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    preprocessor_source: str = ""


def from_folder(located: Located, model_types: Collection[str]) -> Stored:
    """What a folder in Hugging Face's format holds, if it is one of `model_types`. Raises WeightsError."""
    folder = located.folder
    config = read_json(folder / CONFIG)
    if config.get("model_type") not in model_types:
        raise WeightsError(
            f"{located.spec.name} is a {config.get('model_type')!r} model by its {CONFIG}: expected "
            f"one of {', '.join(model_types)}"
        )
    preprocessor = folder / PREPROCESSOR
    return Stored(
        config=config,
        state=read_state_dict(located.weights, allow_pickle=located.allow_pickle),
        sha256=sha256_of(located.weights),
        source=str(folder),
        preprocessor=read_json(preprocessor) if is_file(preprocessor, WeightsError) else {},
        preprocessor_source=str(preprocessor),
    )


def from_recipe(config: Mapping[str, Any], recipe: str) -> Stored:
    """A network whose weights are still to be drawn, by a `recipe` that says how."""
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    return Stored(config=dict(config), state=None, sha256=digest, source=recipe, preprocessor_source=recipe)
