"""A CLIP ready for use: its weights located, checked, converted and put on a device."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from carvid.clip.names import Role
from carvid.clip.preprocess import PreprocessOptions
from carvid.clip.random_clip import random_state_dict
from carvid.clip.stored import read_clip
from carvid.clip.text import TextEncoder
from carvid.clip.tokenizer import TextTokenizer
from carvid.clip.vision import ACTIVATIONS, VisionTower, vision_tower
from carvid.errors import WeightsError
from carvid.weights.architecture import Fields, architecture_of, fields
from carvid.weights.damage import refused
from carvid.weights.files import CONFIG
from carvid.weights.locate import Located, locate
from carvid.weights.names import WeightsSpec
from carvid.weights.stored import Stored
from carvid.weights.tensors import check_state_dict

if TYPE_CHECKING:
    from transformers import CLIPModel


_TOWER = "hidden_size intermediate_size num_hidden_layers num_attention_heads hidden_act layer_norm_eps"
_TEXT = fields(f"{_TOWER} vocab_size max_position_embeddings bos_token_id eos_token_id")
_VISION = fields(f"{_TOWER} image_size patch_size num_channels")

#: What is read of a CLIP's config.json. Old configurations have parts whose names end in _dict.
CONFIG_FIELDS: Fields = {
    "projection_dim": None,
    "text_config": _TEXT,
    "text_config_dict": _TEXT,
    "vision_config": _VISION,
    "vision_config_dict": _VISION,
}


@dataclass(frozen=True, eq=False)
class LoadedClip:
    """One frozen CLIP.

    name: the spec's name.
    model: transformers' CLIPModel, in eval mode, no parameter requires a gradient.
    tokenizer: texts to ids.
    preprocess: what an image goes through before the classifier's encoder.
    sha256: of the file(s) of weights as stored (`files.sha256_of`); of the recipe for random weights.
    source: the folder or file read, or how random weights were drawn.
    context_length: tokens a text may have, start and end included.
    logit_scale: the factor on cosine similarities, the exponential of the stored parameter.
    device, dtype: where and as what the parameters are held.
    """

    name: str
    model: CLIPModel
    tokenizer: TextTokenizer
    preprocess: PreprocessOptions
    sha256: str
    source: str
    context_length: int
    logit_scale: float
    device: torch.device
    dtype: torch.dtype

    @cached_property
    def tower(self) -> VisionTower:
        """The vision tower, its weights fused once."""
        return vision_tower(self.model)

    @cached_property
    def texts(self) -> TextEncoder:
        """The text encoder, which embeds each text once."""
        return TextEncoder(self.name, self.model, self.tokenizer, self.context_length)


def load_clip(
    weights: WeightsSpec | Located,
    *,
    role: Role,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool = False,
    allow_pickle: bool = False,
) -> LoadedClip:
    """Load a CLIP for `role` (which only messages mention), locating it first unless that is done.

    offline: use only the hub's cache. allow_pickle: read `.bin` and `.pt`, tensors only; without it they are
    refused, except those of the built-in names. Code in a repository is never run.
    Raises WeightsError for weights that cannot be had or are not what they claim to be.
    """
    located = locate(weights, offline=offline, allow_pickle=allow_pickle)
    stored, tokenizer = read_clip(located)
    name = located.spec.name
    where = f"{role} {name}"
    model = _build(stored, tokenizer, where)
    shapes = {key: tensor.shape for key, tensor in model.state_dict().items()}
    state = random_state_dict(shapes) if stored.state is None else stored.state
    state = check_state_dict(state, shapes, where=where)
    logit_scale = float(state["logit_scale"].double().exp())
    model.load_state_dict({key: tensor.to(device, dtype) for key, tensor in state.items()}, assign=True)
    for module in model.modules():
        # These are the only buffers; on the meta device they were made without content.
        if (ids := getattr(module, "position_ids", None)) is not None:
            module.position_ids = torch.arange(ids.shape[-1], device=device).expand(1, -1)
    model.eval().requires_grad_(False)
    return LoadedClip(
        name=name,
        model=model,
        tokenizer=tokenizer,
        preprocess=_preprocessing(stored, model.config.vision_config.image_size),
        sha256=stored.sha256,
        source=stored.source,
        context_length=model.config.text_config.max_position_embeddings,
        logit_scale=logit_scale,
        device=device,
        dtype=dtype,
    )


def load_pair(
    proposer: WeightsSpec | Located,
    classifier: WeightsSpec | Located,
    *,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool = False,
    allow_pickle: bool = False,
) -> tuple[LoadedClip, LoadedClip]:
    """Load f and g; where both are the same weights, load them once. Raises as `load_clip`."""
    # Both are located first: loading f takes seconds, which would delay the news that g cannot be had.
    pair = [locate(each, offline=offline, allow_pickle=allow_pickle) for each in (proposer, classifier)]
    first = load_clip(pair[0], role="proposer", device=device, dtype=dtype)
    if pair[0].spec.location == pair[1].spec.location:
        return first, first
    return first, load_clip(pair[1], role="classifier", device=device, dtype=dtype)


def _build(stored: Stored, tokenizer: TextTokenizer, where: str) -> CLIPModel:
    """The model that the stored configuration describes, on the meta device."""
    # Imported here: it takes seconds, and weights that cannot be had must be reported sooner.
    from transformers import CLIPConfig, CLIPModel

    known = architecture_of(stored, CONFIG_FIELDS, where=where)
    with refused(f"{where}: its {CONFIG} describes no CLIP"):
        config = CLIPConfig.from_dict(deepcopy(known))
        _check_config(config, tokenizer, where)
        with torch.device("meta"):
            return CLIPModel(config)


def _check_config(config: Any, tokenizer: TextTokenizer, where: str) -> None:
    vision, text = config.vision_config, config.text_config
    if vision.hidden_act not in ACTIVATIONS:
        raise WeightsError(
            f"{where}: hidden_act is {vision.hidden_act!r}, expected one of {', '.join(ACTIVATIONS)}"
        )
    for name in ("image_size", "patch_size"):
        if not isinstance(getattr(vision, name), int):
            raise WeightsError(
                f"{where}: {name} is {getattr(vision, name)!r}, expected one number (a square)"
            )
    if tokenizer.vocabulary_size > text.vocab_size:
        raise WeightsError(
            f"{where}: the tokenizer has {tokenizer.vocabulary_size} tokens, the model {text.vocab_size}: "
            "expected the model's own vocabulary"
        )
    # The model pools a text at its end token. In old configurations 2 stands for the highest id, and so it does
    # for transformers, whichever token 2 may be.
    end = tokenizer.vocabulary_size - 1 if text.eos_token_id == 2 else text.eos_token_id
    if tokenizer.eos_id != end:
        raise WeightsError(
            f"{where}: the tokenizer's end token is {tokenizer.eos_id}, the model pools a text at {end}: "
            "expected them to be equal"
        )


def _preprocessing(stored: Stored, image_size: int) -> PreprocessOptions:
    where = stored.preprocessor_source
    with refused(f"{where} describes no preprocessing of CLIP's"):
        options = PreprocessOptions.from_config(stored.preprocessor, image_size=image_size, where=where)
    if options.size != (image_size, image_size):
        raise WeightsError(
            f"{where}: prepares images of {options.size}, but the model takes {image_size} squared"
        )
    return options
