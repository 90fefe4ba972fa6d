"""A SAM ready for use: weights found, checked, converted and put on a device."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError

from carvid.errors import WeightsError
from carvid.sam.architectures import DECODER_NORM_EPS, random_state_dict
from carvid.sam.catalog import WANTED, locate
from carvid.sam.names import NAMED_SAMS, SamSpec
from carvid.sam.stored import StoredSam, from_file, from_folder, from_recipe
from carvid.weights.files import CONFIG
from carvid.weights.tensors import check_state_dict

#: ImageNet's, for images scaled to [0, 1]: what every SAM was trained with.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)

# SAM 2's checkpoints hold the video model, of which the image model is a part. These belong to the rest.
_VIDEO_ONLY = (
    "memory_",
    "mask_downsample",
    "object_pointer_proj",
    "temporal_positional_encoding_projection_layer",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "occlusion_spatial_embedding_parameter",
)
_TWIN = "prompt_encoder.shared_embedding.positional_embedding"
_SHARED = "shared_image_embedding.positional_embedding"


@dataclass(frozen=True, eq=False)
class LoadedSam:
    """One frozen SAM.

    name: the spec's name. kind: "sam", "sam_hq" or "sam2".
    model: transformers' SamModel, SamHQModel or Sam2Model, in eval mode, no parameter requires a gradient.
    image_size: side of the model's square input, in px. mean, std: per channel, for images in [0, 1].
    sha256: of the file(s) of weights as stored; of the recipe for random weights.
    source: the folder or file read, or how random weights were drawn.
    device: where the parameters are held. dtype: of the image encoder; prompt encoder and decoder, whose
    logits are cut at thresholds, are held in float32.
    """

    name: str
    kind: str
    model: Any
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    source: str
    device: torch.device
    dtype: torch.dtype


def load_sam(
    spec: SamSpec,
    *,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool = False,
    allow_pickle: bool = False,
) -> LoadedSam:
    """Load the SAM of `spec`.

    offline: use the hub's cache alone. allow_pickle: read `.pth` and `.bin`, tensors only; without it they
    are refused. Code of a repository is never run.
    Raises WeightsError for weights that are not to be had, or are not what they claim.
    """
    path = locate(spec, offline=offline, allow_pickle=allow_pickle)
    if path is None:
        stored = from_recipe(spec.location)
    elif spec.kind == "file":
        stored = from_file(path, allow_pickle=allow_pickle)
    else:
        stored = from_folder(path, spec.name, WANTED.choose, allow_pickle=allow_pickle)
    published = any(spec == named.spec for named in NAMED_SAMS.values())
    if published and stored.config["model_type"] in ("sam", "sam_hq"):
        # Their configurations say 1e-6, transformers' default; they were trained with PyTorch's 1e-5.
        stored.config.setdefault("mask_decoder_config", {})["layer_norm_eps"] = DECODER_NORM_EPS
    return _assemble(stored, spec.name, device, dtype)


def _assemble(stored: StoredSam, name: str, device: torch.device, dtype: torch.dtype) -> LoadedSam:
    kind = stored.config["model_type"].removesuffix("_video")
    where = f"SAM {name}"
    try:
        with torch.device("meta"):
            model = _build(kind, stored.config)
        image_size = model.config.prompt_encoder_config.image_size
    except (
        StrictDataclassError,
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        ZeroDivisionError,
    ) as error:
        raise WeightsError(f"{where}: its {CONFIG} describes no SAM ({error})") from error
    if not isinstance(image_size, int):
        raise WeightsError(f"{where}: image_size is {image_size!r}, expected one number (a square)")
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    state = random_state_dict(shapes) if stored.state is None else dict(stored.state)
    if kind == "sam2":
        state = {key: tensor for key, tensor in state.items() if not key.startswith(_VIDEO_ONLY)}
    if _SHARED in state:
        state.setdefault(_TWIN, state[_SHARED])  # one table under two names; files may keep it once
    state = check_state_dict(state, shapes, where=where)
    model.load_state_dict({key: value.to(device, torch.float32) for key, value in state.items()}, assign=True)
    model.vision_encoder.to(dtype)
    if kind == "sam2":
        # Two of the decoder's convolutions belong to the encoding of the image.
        model.mask_decoder.conv_s0.to(dtype)
        model.mask_decoder.conv_s1.to(dtype)
    model.eval().requires_grad_(False)
    return LoadedSam(
        name=name,
        kind=kind,
        model=model,
        image_size=image_size,
        mean=_triple(stored.preprocessor, "image_mean", PIXEL_MEAN, where),
        std=_triple(stored.preprocessor, "image_std", PIXEL_STD, where),
        sha256=stored.sha256,
        source=stored.source,
        device=device,
        dtype=dtype,
    )


def _build(kind: str, config: dict[str, Any]) -> Any:
    # Imported here: it takes seconds, and weights that are not to be had must be reported sooner.
    from transformers import Sam2Config, Sam2Model, SamConfig, SamHQConfig, SamHQModel, SamModel

    config = deepcopy(config)
    if kind == "sam":
        return SamModel(SamConfig.from_dict(config))
    if kind == "sam_hq":
        return SamHQModel(SamHQConfig.from_dict(config))
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    image_model = {part: config[part] for part in parts if part in config}
    for part in parts[1:]:
        image_model.get(part, {}).pop("model_type", None)  # the video model's
    return Sam2Model(Sam2Config.from_dict(image_model))


def _triple(
    preprocessor: Mapping[str, Any], key: str, default: tuple[float, float, float], where: str
) -> tuple[float, float, float]:
    values = preprocessor.get(key, default)
    listed = isinstance(values, list | tuple) and all(isinstance(value, int | float) for value in values)
    if not listed or len(values) != 3:
        raise WeightsError(f"{where}: {key} is {values!r}, expected three numbers")
    return float(values[0]), float(values[1]), float(values[2])
