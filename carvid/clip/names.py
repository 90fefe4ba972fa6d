"""The CLIPs known by name, and which two a run takes.

CaR uses two CLIPs: f, the proposer (ViT-B/16 in the paper), and g, the classifier. This module imports
nothing heavy, so a name can be refused before torch is loaded.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Literal

from carvid.weights.names import Family, NamedWeights, WeightsSpec, resolve

Role = Literal["proposer", "classifier"]
ROLES: tuple[Role, Role] = ("proposer", "classifier")

DEFAULT_MODEL = "clip"

CLIP = Family(
    model="a CLIP",
    vocabulary=True,
    instead="name a local folder or file of weights (--model DIR); or try carvid with its embedded model "
    "(--model shapes)",
)

#: The embedded model: one Hugging Face CLIP folder per role, inside the package.
SHAPES_FOLDER = Path(__file__).resolve().parents[1] / "shapes"

_B16_PARAMETERS, _L14_PARAMETERS = 149_620_737, 427_616_513


def _openai(repository: str, parameters: int) -> WeightsSpec:
    # The main revision of OpenAI's ViT-B/16 repository may hold pytorch_model.bin alone, hence trusted_pickle.
    return WeightsSpec(repository, "hub", repository, CLIP, trusted_pickle=True, parameters=parameters)


def _random(architecture: str, parameters: int) -> WeightsSpec:
    return WeightsSpec(f"random:{architecture}", "random", architecture, CLIP, parameters=parameters)


_B16 = _openai("openai/clip-vit-base-patch16", _B16_PARAMETERS)
_L14 = _openai("openai/clip-vit-large-patch14", _L14_PARAMETERS)
_RANDOM_B16, _RANDOM_L14 = _random("vit-b16", _B16_PARAMETERS), _random("vit-l14", _L14_PARAMETERS)
_SHAPES = tuple(WeightsSpec(f"shapes/{role}", "folder", str(SHAPES_FOLDER / role), CLIP) for role in ROLES)

#: The specs of f and g, or one spec for both.
NAMED_CLIPS: dict[str, NamedWeights] = {
    model.name: model
    for model in (
        NamedWeights("clip", "OpenAI CLIP: ViT-B/16 proposes, ViT-L/14 classifies", (_B16, _L14)),
        NamedWeights("clip-b16", "OpenAI CLIP: ViT-B/16 for both", (_B16,)),
        NamedWeights("shapes", "embedded, knows drawn shapes only", _SHAPES, preset="shapes"),
        NamedWeights("random:clip", "clip's architectures, random weights", (_RANDOM_B16, _RANDOM_L14)),
        NamedWeights("random:clip-b16", "clip-b16's architecture, random weights", (_RANDOM_B16,)),
    )
}


def resolve_spec(name: str | PathLike[str], role: Role) -> WeightsSpec:
    """The spec for `role` of a named model, a path or a repository. Raises as `carvid.weights.names.resolve`."""
    return resolve(name, NAMED_CLIPS, CLIP, role=f"the {role}")[0 if role == "proposer" else -1]


def resolve_pair(
    model: str | PathLike[str] | None = None,
    proposer: str | PathLike[str] | None = None,
    classifier: str | PathLike[str] | None = None,
) -> tuple[WeightsSpec, WeightsSpec]:
    """The specs of f and g: `model` names both, `proposer` and `classifier` each override one.

    Without any of them both come from `DEFAULT_MODEL`. Raises as `resolve_spec`.
    """
    both = DEFAULT_MODEL if model is None else model
    return (
        resolve_spec(both if proposer is None else proposer, "proposer"),
        resolve_spec(both if classifier is None else classifier, "classifier"),
    )


def preset_of(model: str | PathLike[str] | None) -> str | None:
    """The preset that a named model brings; None for one that brings none, a path, a repository and None."""
    named = NAMED_CLIPS.get(str(model))
    return None if named is None else named.preset
