"""A CLIP ready for use: weights found, checked, converted and put on a device."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError

from carvid.clip.names import ClipSpec, Role
from carvid.clip.preprocess import PreprocessOptions
from carvid.clip.random_clip import random_state_dict
from carvid.clip.stored import StoredClip, from_file, from_folder, from_recipe
from carvid.clip.text import TextEncoder
from carvid.clip.tokenizer import TextTokenizer
from carvid.clip.vision import VisionTower, vision_tower
from carvid.errors import WeightsError
from carvid.weights import hub
from carvid.weights.files import CONFIG
from carvid.weights.tensors import check_state_dict

if TYPE_CHECKING:
    from transformers import CLIPModel


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
    spec: ClipSpec,
    *,
    role: Role,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool = False,
    allow_pickle: bool = False,
) -> LoadedClip:
    """Load the CLIP of `spec` for `role` (which only messages mention).

    offline: use the hub's cache alone. allow_pickle: read `.bin` and `.pt`, tensors only; without it they are
    refused, except those of the built-in names. Code of a repository is never run.
    Raises WeightsError for weights that are not to be had, or are not what they claim.
    """
    path = hub.locate(spec, offline=offline, allow_pickle=allow_pickle)
    if path is None:
        stored = from_recipe(spec.location)
    elif spec.kind == "file":
        stored = from_file(path, allow_pickle=allow_pickle)
    else:
        stored = from_folder(path, spec.name, allow_pickle=allow_pickle or spec.trusted_pickle)
    return _assemble(stored, spec, f"{role} {spec.name}", device, dtype)


def load_pair(
    proposer: ClipSpec,
    classifier: ClipSpec,
    *,
    device: torch.device,
    dtype: torch.dtype,
    offline: bool = False,
    allow_pickle: bool = False,
) -> tuple[LoadedClip, LoadedClip]:
    """Load f and g; where both are the same weights, load them once. Raises as `load_clip`."""
    # Both are sought first: seconds of loading f would delay the news that g is not to be had.
    for spec in (proposer, classifier):
        hub.locate(spec, offline=offline, allow_pickle=allow_pickle)

    def load(spec: ClipSpec, role: Role) -> LoadedClip:
        return load_clip(
            spec, role=role, device=device, dtype=dtype, offline=offline, allow_pickle=allow_pickle
        )

    first = load(proposer, "proposer")
    if (proposer.kind, proposer.location) == (classifier.kind, classifier.location):
        return first, first
    return first, load(classifier, "classifier")


def _assemble(
    stored: StoredClip, spec: ClipSpec, where: str, device: torch.device, dtype: torch.dtype
) -> LoadedClip:
    # Imported here: it takes seconds, and weights that are not to be had must be reported sooner.
    from transformers import CLIPConfig, CLIPModel

    try:
        config = CLIPConfig.from_dict(deepcopy(stored.config))
        _check_config(config, stored.tokenizer, where)
        with torch.device("meta"):
            model = CLIPModel(config)
    except (StrictDataclassError, TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        raise WeightsError(f"{where}: its {CONFIG} describes no CLIP ({error})") from error
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = random_state_dict(shapes) if stored.state is None else stored.state
    state = check_state_dict(state, shapes, where=where)
    logit_scale = float(state["logit_scale"].double().exp())
    model.load_state_dict({name: tensor.to(device, dtype) for name, tensor in state.items()}, assign=True)
    for module in model.modules():
        # The only buffers; a module built on the meta device has them without content.
        if (ids := getattr(module, "position_ids", None)) is not None:
            module.position_ids = torch.arange(ids.shape[-1], device=device).expand(1, -1)
    model.eval().requires_grad_(False)
    content, path = stored.preprocessor
    return LoadedClip(
        name=spec.name,
        model=model,
        tokenizer=stored.tokenizer,
        preprocess=_preprocessing(content, config.vision_config.image_size, path),
        sha256=stored.sha256,
        source=stored.source,
        context_length=config.text_config.max_position_embeddings,
        logit_scale=logit_scale,
        device=device,
        dtype=dtype,
    )


def _check_config(config: Any, tokenizer: TextTokenizer, where: str) -> None:
    vision, text = config.vision_config, config.text_config
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
    # The model pools a text at its end token; 2 is how old configurations say "the highest id", and
    # transformers takes it so whatever token 2 is.
    end = tokenizer.vocabulary_size - 1 if text.eos_token_id == 2 else text.eos_token_id
    if tokenizer.eos_id != end:
        raise WeightsError(
            f"{where}: the tokenizer's end token is {tokenizer.eos_id}, the model pools a text at {end}: "
            "expected them to be equal"
        )


def _preprocessing(content: Mapping[str, Any], image_size: int, where: str) -> PreprocessOptions:
    options = PreprocessOptions.from_config(content, image_size=image_size, where=where)
    if options.size != (image_size, image_size):
        raise WeightsError(
            f"{where}: prepares images of {options.size}, but the model takes {image_size} squared"
        )
    return options
