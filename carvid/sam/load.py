"""A SAM ready for use: its weights located, checked, converted and put on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from carvid.errors import WeightsError
from carvid.sam.architectures import DECODER_NORM_EPS, random_state_dict
from carvid.sam.names import NAMED_SAMS
from carvid.sam.stored import read_sam
from carvid.weights.architecture import Fields, architecture_of, fields
from carvid.weights.damage import refused
from carvid.weights.files import CONFIG
from carvid.weights.locate import Located, locate
from carvid.weights.names import WeightsSpec
from carvid.weights.tensors import check_state_dict

#: ImageNet's, for images scaled to [0, 1]: what every SAM was trained with.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)

# SAM 2's checkpoints hold the video model, which contains the image model. These tensors belong to the rest.
_VIDEO_ONLY = (
    "memory_",
    "mask_downsample",
    "object_pointer_proj",
    "temporal_positional_encoding_projection_layer",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "occlusion_spatial_embedding_parameter",
)
# What is read of a config.json. The model_type of SAM 2's parts is left out: it is the video model's.
_VIT = fields(
    "hidden_size output_channels num_hidden_layers num_attention_heads num_channels image_size patch_size "
    "hidden_act layer_norm_eps qkv_bias mlp_ratio mlp_dim use_abs_pos use_rel_pos window_size "
    "global_attn_indexes num_pos_feats"
)
_HIERA = fields(
    "hidden_size num_attention_heads num_channels image_size patch_kernel_size patch_stride patch_padding "
    "query_stride window_positional_embedding_background_size num_query_pool_stages blocks_per_stage "
    "embed_dim_per_stage num_attention_heads_per_stage window_size_per_stage global_attention_blocks mlp_ratio "
    "hidden_act layer_norm_eps"
)
_NECK = fields(
    "backbone_channel_list backbone_feature_sizes fpn_hidden_size fpn_kernel_size fpn_stride fpn_padding "
    "fpn_top_down_levels num_feature_levels hidden_act layer_norm_eps"
)
_PROMPT = fields(
    "hidden_size image_size patch_size mask_input_channels num_point_embeddings hidden_act layer_norm_eps scale"
)
_DECODER = fields(
    "hidden_size hidden_act mlp_dim num_hidden_layers num_attention_heads attention_downsample_rate "
    "num_multimask_outputs iou_head_depth iou_head_hidden_dim layer_norm_eps vit_dim "
    "dynamic_multimask_via_stability dynamic_multimask_stability_delta dynamic_multimask_stability_thresh"
)


def _with_vision(vision: Fields) -> Fields:
    return {"vision_config": vision, "prompt_encoder_config": _PROMPT, "mask_decoder_config": _DECODER}


CONFIG_FIELDS: dict[str, Fields] = {
    "sam": _with_vision(_VIT),
    "sam_hq": _with_vision(_VIT),
    "sam2": _with_vision({**_NECK, "backbone_config": _HIERA}),
}
_TRAINED_NORM = {"layer_norm_eps": DECODER_NORM_EPS}

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
    weights: WeightsSpec | Located,
    *,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool = False,
    allow_pickle: bool = False,
) -> LoadedSam:
    """Load a SAM, locating it first unless that is done.

    offline: use only the hub's cache. allow_pickle: read `.pth` and `.bin`, tensors only; without it they are
    refused. Code in a repository is never run.
    Raises WeightsError for weights that cannot be had or are not what they claim to be.
    """
    located = locate(weights, offline=offline, allow_pickle=allow_pickle)
    stored, spec = read_sam(located), located.spec
    where = f"SAM {spec.name}"
    kind = stored.config["model_type"].removesuffix("_video")
    config = architecture_of(stored, CONFIG_FIELDS[kind], where=where)
    if kind != "sam2" and any(spec in named.specs for named in NAMED_SAMS.values()):
        # Their configurations say 1e-6, transformers' default; they were trained with PyTorch's 1e-5.
        config["mask_decoder_config"] = (config.get("mask_decoder_config") or {}) | _TRAINED_NORM
    elif kind == "sam2" and (backbone := (config.get("vision_config") or {}).get("backbone_config")):
        backbone["model_type"] = "sam2_hiera_det_model"
    with refused(f"{where}: its {CONFIG} describes no SAM"), torch.device("meta"):
        model = _build(kind, config)
        image_size = model.config.prompt_encoder_config.image_size
    if not isinstance(image_size, int):
        raise WeightsError(f"{where}: image_size is {image_size!r}, expected one number (a square)")
    if kind != "sam2":
        _check_sizes(model.config, where)
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
        name=spec.name,
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


def _check_sizes(config: Any, where: str) -> None:
    encoder, prompts = config.vision_config, config.prompt_encoder_config
    for name in ("image_size", "patch_size"):
        seen, prompted = getattr(encoder, name), getattr(prompts, name)
        if seen != prompted:
            raise WeightsError(
                f"{where}: {name} is {seen!r} for the image encoder and {prompted!r} for the prompt encoder, "
                "expected them to be equal"
            )


def _build(kind: str, config: dict[str, Any]) -> Any:
    # Imported here: it takes seconds, and weights that cannot be had must be reported sooner.
    from transformers import Sam2Config, Sam2Model, SamConfig, SamHQConfig, SamHQModel, SamModel

    model, model_config = {
        "sam": (SamModel, SamConfig),
        "sam_hq": (SamHQModel, SamHQConfig),
        "sam2": (Sam2Model, Sam2Config),
    }[kind]
    return model(model_config.from_dict(config))


def _triple(
    preprocessor: Mapping[str, Any], key: str, default: tuple[float, float, float], where: str
) -> tuple[float, float, float]:
    values = preprocessor.get(key, default)
    listed = isinstance(values, list | tuple) and all(isinstance(value, int | float) for value in values)
    if not listed or len(values) != 3:
        raise WeightsError(f"{where}: {key} is {values!r}, expected three numbers")
    return float(values[0]), float(values[1]), float(values[2])
