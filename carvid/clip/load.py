"""A CLIP ready for use: its weights located, checked, converted and put on a device."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from carvid.clip.config import CONFIG_FIELDS, ClipConfig
from carvid.clip.int8 import int8_tower
from carvid.clip.names import Role
from carvid.clip.preprocess import PreprocessOptions
from carvid.clip.random_clip import random_state_dict
from carvid.clip.stored import read_clip
from carvid.clip.tensors import tensor_shapes
from carvid.clip.text import TextEncoder
from carvid.clip.text_tower import HIGHEST_ID, text_tower
from carvid.clip.tokenizer import TextTokenizer
from carvid.clip.vision import VisionTower, vision_tower
from carvid.errors import WeightsError
from carvid.weights.architecture import architecture_of
from carvid.weights.damage import refused
from carvid.weights.device import INT8
from carvid.weights.locate import Located, locate
from carvid.weights.names import WeightsSpec
from carvid.weights.stored import Stored
from carvid.weights.tensors import check_state_dict


@dataclass(frozen=True, eq=False)
class CheckedClip:
    """A CLIP as it is stored, in transformers' names, after all checks.

    state: dense floating-point tensors on the CPU, of the shapes that config describes (`tensor_shapes`).
    """

    config: ClipConfig
    state: dict[str, Tensor]
    tokenizer: TextTokenizer
    preprocess: PreprocessOptions
    sha256: str
    source: str


@dataclass(frozen=True, eq=False)
class LoadedClip:
    """One frozen CLIP.

    located: what it was read from.
    tower: the vision tower. texts: the text encoder, which embeds each text once.
    preprocess: what an image goes through before the classifier's encoder.
    sha256: of the file(s) of weights as stored (`files.sha256_of`); of the recipe for random weights.
    source: the folder or file read, or how random weights were drawn.
    logit_scale: the factor on cosine similarities, the exponential of the stored parameter.
    device, dtype: where and as what the towers are held.
    int8: whether the vision tower's linear layers take whole numbers of 8 bits (`carvid.clip.int8`).
    """

    located: Located
    tower: VisionTower
    texts: TextEncoder
    preprocess: PreprocessOptions
    sha256: str
    source: str
    logit_scale: float
    device: torch.device
    dtype: torch.dtype
    int8: bool = False

    @property
    def number_type(self) -> str:
        """The number type it computes in, by its name in a recipe."""
        return INT8 if self.int8 else str(self.dtype).removeprefix("torch.")

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.located.spec.name

    def rounding_positions(self, rounds: bool) -> LoadedClip:
        """The same CLIP, which rounds its position embeddings to float16 or does not."""
        if rounds == self.tower.float16_positions:
            return self
        return replace(self, tower=replace(self.tower, float16_positions=rounds))


def check_clip(located: Located, *, role: Role) -> CheckedClip:
    """Read and check a located CLIP. Raises WeightsError as `load_clip`."""
    stored, tokenizer = read_clip(located)
    where = f"{role} {located.spec.name}"
    config = ClipConfig.from_dict(architecture_of(stored, CONFIG_FIELDS, where=where), where=where)
    _check_tokens(config, tokenizer, where)
    shapes = tensor_shapes(config)
    state = random_state_dict(shapes) if stored.state is None else stored.state
    return CheckedClip(
        config=config,
        state=check_state_dict(state, shapes, where=where),
        tokenizer=tokenizer,
        preprocess=_preprocessing(stored, config.vision_config.image_size),
        sha256=stored.sha256,
        source=stored.source,
    )


@torch.inference_mode(False)
@torch.no_grad()
def load_clip(
    weights: WeightsSpec | Located,
    *,
    role: Role,
    device: torch.device,
    dtype: torch.dtype,
    int8: bool = False,
    offline: bool = False,
    allow_pickle: bool = False,
) -> LoadedClip:
    """Load a CLIP for `role` (which only messages mention), locating it first unless that is done.

    int8: round the vision tower's linear layers to whole numbers of 8 bits; wants float32 on a CPU.
    offline: use only the hub's cache. allow_pickle: read `.bin` and `.pt`, tensors only; without it they are
    refused, except those of the built-in names. Code in a repository is never run.
    Raises WeightsError for weights that cannot be had or are not what they claim to be.
    """
    located = locate(weights, offline=offline, allow_pickle=allow_pickle)
    found = check_clip(located, role=role)
    logit_scale = float(found.state["logit_scale"].double().exp())
    # Detached, as a pickle may hold parameters, which want gradients; and taken out of what was found, so that no
    # tensor is held twice.
    state = {key: found.state.pop(key).detach().to(device, dtype) for key in list(found.state)}
    texts = text_tower(state, found.config.text_config)
    tower = vision_tower(state, found.config.vision_config)
    return LoadedClip(
        located=located,
        tower=int8_tower(tower) if int8 else tower,
        texts=TextEncoder(located.spec.name, texts, found.tokenizer),
        preprocess=found.preprocess,
        sha256=found.sha256,
        source=found.source,
        logit_scale=logit_scale,
        device=device,
        dtype=dtype,
        int8=int8,
    )


def load_pair(
    proposer: WeightsSpec | Located,
    classifier: WeightsSpec | Located,
    *,
    device: torch.device,
    dtype: torch.dtype,
    int8: bool = False,
    offline: bool = False,
    allow_pickle: bool = False,
) -> tuple[LoadedClip, LoadedClip]:
    """Load f and g; where both are the same weights, load them once. Raises as `load_clip`."""
    # Both are located first: loading f takes seconds, which would delay the news that g cannot be had.
    pair = [locate(each, offline=offline, allow_pickle=allow_pickle) for each in (proposer, classifier)]
    first = load_clip(pair[0], role="proposer", device=device, dtype=dtype, int8=int8)
    if pair[0].spec.location == pair[1].spec.location:
        return first, first
    return first, load_clip(pair[1], role="classifier", device=device, dtype=dtype, int8=int8)


def _check_tokens(config: ClipConfig, tokenizer: TextTokenizer, where: str) -> None:
    text = config.text_config
    if tokenizer.vocabulary_size > text.vocab_size:
        raise WeightsError(
            f"{where}: the tokenizer has {tokenizer.vocabulary_size} tokens, the model {text.vocab_size}: "
            "expected the model's own vocabulary"
        )
    # The model pools a text at its end token.
    highest = text.eos_token_id == HIGHEST_ID
    end = tokenizer.vocabulary_size - 1 if highest else text.eos_token_id
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
