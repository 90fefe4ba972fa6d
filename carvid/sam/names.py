"""The SAMs known by name. Imports nothing heavy, so a name can be refused before torch is loaded."""

from __future__ import annotations

from os import PathLike

from carvid.weights.names import Family, NamedWeights, WeightsSpec, resolve

SAM = Family(
    model="a SAM",
    vocabulary=False,
    instead="name a local folder in that format or a file of segment-anything's weights (--sam DIR|FILE); or "
    "run without --sam",
)


def _hub(name: str, repository: str, note: str, parameters: int) -> NamedWeights:
    """parameters: of all that the repository holds (SAM 2: the video model)."""
    return NamedWeights(name, note, (WeightsSpec(repository, "hub", repository, SAM, parameters=parameters),))


def _random(architecture: str, parameters: int) -> NamedWeights:
    name = f"random:{architecture}"
    spec = WeightsSpec(name, "random", architecture, SAM, parameters=parameters)
    return NamedWeights(name, f"the architecture of sam-{architecture}, random weights", (spec,))


NAMED_SAMS: dict[str, NamedWeights] = {
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


def resolve_sam(name: str | PathLike[str]) -> WeightsSpec:
    """The spec of a named SAM, a path or a repository. Raises as `carvid.weights.names.resolve`."""
    return resolve(name, NAMED_SAMS, SAM, role="SAM")[0]
