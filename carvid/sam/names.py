"""Which SAM is meant: the named models, and how a name, a repository or a path becomes a `SamSpec`.

Imports nothing heavy, so a name can be refused before torch is loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from carvid.clip.names import ClipSpec
from carvid.errors import UsageError, WeightsError

#: Suffixes of a single file of weights in the layout of the segment-anything package.
WEIGHT_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


class SamSpec(ClipSpec):
    """Where a SAM's weights come from; the fields mean what they mean for a CLIP."""


@dataclass(frozen=True)
class NamedSam:
    """A SAM with a name of its own.

    note: one line for `carvid models`. parameters: of all that its repository holds (SAM 2: the video model).
    """

    name: str
    note: str
    spec: SamSpec
    parameters: int


def _hub(name: str, repository: str, note: str, parameters: int) -> NamedSam:
    return NamedSam(name, note, SamSpec(repository, "hub", repository), parameters)


def _random(architecture: str, parameters: int) -> NamedSam:
    name = f"random:{architecture}"
    note = f"the architecture of sam-{architecture}, random weights"
    return NamedSam(name, note, SamSpec(name, "random", architecture), parameters)


NAMED_SAMS: dict[str, NamedSam] = {
    model.name: model
    for model in (
        _hub("sam-vit-b", "facebook/sam-vit-base", "SAM, ViT-B", 93_735_728),
        _hub("sam-vit-l", "facebook/sam-vit-large", "SAM, ViT-L", 312_343_088),
        _hub("sam-vit-h", "facebook/sam-vit-huge", "SAM, ViT-H", 641_090_864),
        _hub("sam-hq-vit-b", "syscv-community/sam-hq-vit-base", "HQ-SAM, ViT-B", 94_806_832),
        _hub("sam-hq-vit-l", "syscv-community/sam-hq-vit-large", "HQ-SAM, ViT-L", 313_676_336),
        _hub("sam-hq-vit-h", "syscv-community/sam-hq-vit-huge", "HQ-SAM, ViT-H", 642_686_256),
        _hub("sam2.1-tiny", "facebook/sam2.1-hiera-tiny", "SAM 2.1 image model, Hiera-T", 38_962_498),
        _hub("sam2.1-small", "facebook/sam2.1-hiera-small", "SAM 2.1 image model, Hiera-S", 46_060_354),
        _hub(
            "sam2.1-base-plus", "facebook/sam2.1-hiera-base-plus", "SAM 2.1 image model, Hiera-B+", 80_850_178
        ),
        _hub("sam2.1-large", "facebook/sam2.1-hiera-large", "SAM 2.1 image model, Hiera-L", 224_446_642),
        _random("vit-b", 93_735_728),
        _random("vit-l", 312_343_088),
        _random("vit-h", 641_090_864),
    )
}


def resolve_sam(name: str | PathLike[str]) -> SamSpec:
    """Turn a named model, a local folder or file, or a Hugging Face repository into a spec.

    A named model wins over a path, an existing path over a repository of the same spelling.

    Raises UsageError for a name that is none of these, WeightsError for a path that does not exist.
    """
    text = str(name)
    if text in NAMED_SAMS:
        return NAMED_SAMS[text].spec
    path = Path(text).expanduser()
    if text and path.is_dir():
        return SamSpec(text, "folder", str(path.resolve()))
    if text and path.is_file():
        if path.suffix.lower() not in WEIGHT_SUFFIXES:
            raise UsageError(
                f"{text} is not a file of weights: expected a name ending in {', '.join(WEIGHT_SUFFIXES)}, "
                "or the folder of a Hugging Face SAM"
            )
        return SamSpec(text, "file", str(path.resolve()))
    looks_like_path = text.startswith((".", "/", "~")) or path.suffix.lower() in WEIGHT_SUFFIXES
    if looks_like_path or path.is_absolute() or isinstance(name, PathLike):
        raise WeightsError(f"no such file or folder for SAM: {text}")
    if _REPOSITORY.fullmatch(text):
        return SamSpec(text, "hub", text)
    raise UsageError(
        f"unknown SAM {text!r}: expected one of {', '.join(NAMED_SAMS)}, a Hugging Face repository "
        "(org/name), a local folder in that format, or a file of segment-anything's weights"
    )
