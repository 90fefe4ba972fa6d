"""Which CLIP is meant: the named models, and how a name, a repository or a path becomes a `ClipSpec`.

CaR uses two CLIPs: f, the proposer (ViT-B/16 in the paper), and g, the classifier. This module imports
nothing heavy, so a name can be refused before torch is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from carvid.errors import UsageError, WeightsError

Role = Literal["proposer", "classifier"]
Kind = Literal["hub", "folder", "file", "random"]

DEFAULT_MODEL = "clip"

#: Suffixes of a single file of weights: OpenAI's `.pt`, OpenCLIP's `.safetensors` and `.bin`.
WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class ClipSpec:
    """Where one CLIP's weights come from.

    name: how messages and the run's record call it.
    kind: a Hugging Face repository, a local folder in that format, a single file, or random weights.
    location: `org/name`, an absolute path, or the architecture's name.
    trusted_pickle: whether `pytorch_model.bin` is read (still with weights_only=True) without `allow_pickle`.
    """

    name: str
    kind: Kind
    location: str
    trusted_pickle: bool = False


@dataclass(frozen=True)
class NamedModel:
    """A pair of CLIPs with a name of its own.

    note: one line for `carvid models`. preset: the settings it needs, taken where no preset is named.
    """

    name: str
    note: str
    proposer: ClipSpec
    classifier: ClipSpec
    preset: str | None = None

    def role(self, role: Role) -> ClipSpec:
        """The CLIP that plays `role` in this pair."""
        return self.proposer if role == "proposer" else self.classifier


# The main revision of OpenAI's ViT-B/16 repository may hold pytorch_model.bin alone, hence trusted_pickle.
_B16 = ClipSpec("openai/clip-vit-base-patch16", "hub", "openai/clip-vit-base-patch16", trusted_pickle=True)
_L14 = ClipSpec("openai/clip-vit-large-patch14", "hub", "openai/clip-vit-large-patch14", trusted_pickle=True)
_RANDOM_B16 = ClipSpec("random:vit-b16", "random", "vit-b16")
_RANDOM_L14 = ClipSpec("random:vit-l14", "random", "vit-l14")
_TRUSTED = {spec.location: spec for spec in (_B16, _L14)}

#: The embedded model: one Hugging Face CLIP folder per role, inside the package.
SHAPES_FOLDER = Path(__file__).resolve().parents[1] / "shapes"


def _shapes(role: Role) -> ClipSpec:
    return ClipSpec(f"shapes/{role}", "folder", str(SHAPES_FOLDER / role))


NAMED_MODELS: dict[str, NamedModel] = {
    model.name: model
    for model in (
        NamedModel("clip", "OpenAI CLIP: ViT-B/16 proposes, ViT-L/14 classifies", _B16, _L14),
        NamedModel("clip-b16", "OpenAI CLIP: ViT-B/16 for both", _B16, _B16),
        NamedModel(
            "shapes",
            "embedded, knows drawn shapes only",
            _shapes("proposer"),
            _shapes("classifier"),
            "shapes",
        ),
        NamedModel("random:clip", "clip's architectures, random weights", _RANDOM_B16, _RANDOM_L14),
        NamedModel("random:clip-b16", "clip-b16's architecture, random weights", _RANDOM_B16, _RANDOM_B16),
    )
}


def resolve_spec(name: str | PathLike[str], role: Role) -> ClipSpec:
    """Turn a named model, a local folder or file, or a Hugging Face repository into the spec for `role`.

    A named model wins over a path, an existing path over a repository of the same spelling.

    Raises UsageError for a name that is none of these, WeightsError for a path that does not exist.
    """
    text = str(name)
    if text in NAMED_MODELS:
        return NAMED_MODELS[text].role(role)
    path = Path(text).expanduser()
    if text and path.is_dir():
        return ClipSpec(text, "folder", str(path.resolve()))
    if text and path.is_file():
        if path.suffix.lower() not in WEIGHT_SUFFIXES:
            raise UsageError(
                f"{text} is not a file of weights: expected a name ending in {', '.join(WEIGHT_SUFFIXES)}, "
                "or the folder of a Hugging Face CLIP"
            )
        return ClipSpec(text, "file", str(path.resolve()))
    looks_like_path = text.startswith((".", "/", "~")) or path.suffix.lower() in WEIGHT_SUFFIXES
    if looks_like_path or path.is_absolute() or isinstance(name, PathLike):
        raise WeightsError(f"no such file or folder for the {role}: {text}")
    if _REPOSITORY.fullmatch(text):
        return _TRUSTED.get(text, ClipSpec(text, "hub", text))
    raise UsageError(
        f"unknown model {text!r} for the {role}: expected one of {', '.join(NAMED_MODELS)}, a Hugging Face "
        "repository (org/name), a local folder in that format, or a file of weights"
    )


def resolve_pair(
    model: str | PathLike[str] | None = None,
    proposer: str | PathLike[str] | None = None,
    classifier: str | PathLike[str] | None = None,
) -> tuple[ClipSpec, ClipSpec]:
    """The specs of f and g: `model` names both, `proposer` and `classifier` each override one.

    Without any of them both come from `DEFAULT_MODEL`. Raises as `resolve_spec`.
    """
    both = DEFAULT_MODEL if model is None else model
    return (
        resolve_spec(both if proposer is None else proposer, "proposer"),
        resolve_spec(both if classifier is None else classifier, "classifier"),
    )
