"""Which weights are meant: how a name, a repository or a path becomes a `WeightsSpec`.

Imports nothing heavy, so a name can be refused before torch is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

from carvid.errors import UsageError, WeightsError, did_you_mean
from carvid.paths import is_dir, is_file

Kind = Literal["hub", "folder", "file", "random"]

#: Suffixes of a single file of weights; all but `.safetensors` are pickles.
WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")

#: How weights are stored unless their files say otherwise.
FLOAT32_BYTES = 4

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Family:
    """A kind of network, as far as finding its weights goes.

    model: what messages call one, with its article.
    vocabulary: whether its folder must hold a tokenizer.
    instead: what messages say can be done when its weights cannot be fetched.
    """

    model: str
    vocabulary: bool
    instead: str


@dataclass(frozen=True)
class WeightsSpec:
    """Where the weights of one network come from.

    name: how messages and the run's record call it.
    kind: a Hugging Face repository, a local folder in that format, a single file, or random weights.
    location: `org/name`, an absolute path, or the architecture's name.
    family: what kind of network it is.
    trusted_pickle: whether `pytorch_model.bin` is read (still with weights_only=True) without `allow_pickle`.
    parameters: how many there are; None where only the files tell.
    """

    name: str
    kind: Kind
    location: str
    family: Family
    trusted_pickle: bool = False
    parameters: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NamedWeights:
    """Weights with a name of their own.

    note: one line for `carvid models`.
    specs: one network, or one for each role it is named for.
    preset: the preset these weights need; None where any will do.
    """

    name: str
    note: str
    specs: tuple[WeightsSpec, ...]
    preset: str | None = None


def resolve(
    name: str | PathLike[str], named: Mapping[str, NamedWeights], family: Family, *, role: str | None = None
) -> tuple[WeightsSpec, ...]:
    """Turn one of the `named`, a local folder or file, or a Hugging Face repository into specs.

    A named model wins over a path, an existing path over a repository of the same spelling. `role` is what
    messages say the weights are for.

    Raises UsageError for a name that is none of these, WeightsError for a path that does not exist.
    """
    text, purpose = str(name), f" for {role}" if role else ""
    if text in named:
        return named[text].specs
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise WeightsError(f"no such file or folder{purpose}: {text} ({error})") from error
    if text and is_dir(path, WeightsError):
        return (WeightsSpec(text, "folder", str(path.resolve()), family),)
    if text and is_file(path, WeightsError):
        if path.suffix.lower() not in WEIGHT_SUFFIXES:
            raise UsageError(
                f"{text} is not a file of weights: expected a name ending in {', '.join(WEIGHT_SUFFIXES)}, "
                f"or a folder that holds {family.model} in Hugging Face format"
            )
        return (WeightsSpec(text, "file", str(path.resolve()), family),)
    looks_like_path = text.startswith((".", "/", "~")) or path.suffix.lower() in WEIGHT_SUFFIXES
    if looks_like_path or path.is_absolute() or isinstance(name, PathLike):
        raise WeightsError(f"no such file or folder{purpose}: {text}")
    if _REPOSITORY.fullmatch(text):
        published = (spec for model in named.values() for spec in model.specs if spec.kind == "hub")
        known = {spec.location: spec for spec in published}
        return (known.get(text, WeightsSpec(text, "hub", text, family)),)
    raise UsageError(
        f"unknown model {text!r}{purpose}: expected one of {', '.join(named)}, a Hugging Face repository "
        f"(org/name), a local folder in that format, or a file of weights{did_you_mean(text, named)}"
    )
