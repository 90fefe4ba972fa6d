"""A CLIP as it is found: a folder, a single file, or a recipe for random weights; no tensor checked yet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from carvid.clip.convert import (
    convert_state_dict,
    has_openai_facts,
    infer_config,
    is_openai_layout,
    strip_wrapper,
)
from carvid.clip.names import SHAPES_FOLDER
from carvid.clip.random_clip import ARCHITECTURES, RANDOM_SEED
from carvid.clip.tokenizer import BpeTokenizer, TextTokenizer, WordHashTokenizer
from carvid.errors import WeightsError
from carvid.weights import hub
from carvid.weights.files import (
    CONFIG,
    PREPROCESSOR,
    choose_files,
    has_vocabulary,
    names_in,
    read_json,
    sha256_of,
    weight_files,
)
from carvid.weights.tensors import read_state_dict
from carvid.weights.torchscript import is_torchscript

#: OpenCLIP's description of a file of weights, looked for beside it.
OPEN_CLIP_CONFIG = "open_clip_config.json"

# Repositories whose cached vocabulary serves a file of weights that has none beside it: all hold CLIP's.
_VOCABULARY_REPOSITORIES = (
    "openai/clip-vit-base-patch16",
    "openai/clip-vit-large-patch14",
    "openai/clip-vit-base-patch32",
)


@dataclass(frozen=True, eq=False)
class StoredClip:
    """A CLIP as found, in Hugging Face's names.

    config: CLIPConfig as a dictionary. state: the tensors; None where they are to be drawn at random.
    preprocessor: what preprocessor_config.json says, and where that stands.
    sha256: of the file(s) of weights as stored; of the recipe for random weights.
    source: the folder or file read, or the recipe.
    """

    config: dict[str, Any]
    state: dict[str, torch.Tensor] | None
    tokenizer: TextTokenizer
    preprocessor: tuple[Mapping[str, Any], str]
    sha256: str
    source: str


def from_folder(folder: Path, name: str, *, allow_pickle: bool) -> StoredClip:
    """The CLIP in a local folder in Hugging Face's format. Raises WeightsError."""
    if not folder.is_dir():
        lost = " (the embedded model: install carvid again)" if SHAPES_FOLDER in folder.parents else ""
        raise WeightsError(f"no such folder: {folder}{lost}")
    files = choose_files(names_in(folder), where=name, pickle=allow_pickle)
    paths = weight_files(folder, files)
    config = read_json(folder / CONFIG)
    if config.get("model_type") != "clip":
        raise WeightsError(
            f"{name} is a {config.get('model_type')!r} model by its {CONFIG}: expected 'clip', with an "
            "image and a text encoder"
        )
    preprocessor = folder / PREPROCESSOR
    return StoredClip(
        config=config,
        state=read_state_dict(paths, allow_pickle=allow_pickle),
        tokenizer=BpeTokenizer(folder),
        preprocessor=(read_json(preprocessor) if preprocessor.is_file() else {}, str(preprocessor)),
        sha256=sha256_of(paths),
        source=str(folder),
    )


def from_file(path: Path, *, allow_pickle: bool) -> StoredClip:
    """The CLIP in one file in OpenAI's or OpenCLIP's layout. Raises WeightsError."""
    state = strip_wrapper(read_state_dict([path], allow_pickle=allow_pickle))
    if not is_openai_layout(state):
        raise WeightsError(
            f"{path} holds no visual.*: expected OpenAI's or OpenCLIP's layout. For Hugging Face's, name the "
            f"folder that holds {CONFIG} as well"
        )
    sidecar = path.parent / OPEN_CLIP_CONFIG
    described = read_json(sidecar) if sidecar.is_file() else {}
    model_cfg, preprocess_cfg = described.get("model_cfg") or {}, described.get("preprocess_cfg") or {}
    if not isinstance(model_cfg, dict) or not isinstance(preprocess_cfg, dict):
        raise WeightsError(
            f"{sidecar} is not OpenCLIP's: expected objects under model_cfg and preprocess_cfg"
        )
    # OpenAI, which alone publishes TorchScript, trained with quick_gelu; OpenCLIP's own weights use GELU
    # unless their description says otherwise.
    openai = has_openai_facts(state) or is_torchscript(path)
    quick = openai or bool(model_cfg.get("quick_gelu", False))
    config = infer_config(
        state, where=str(path), hidden_act="quick_gelu" if quick else "gelu", model_cfg=model_cfg
    )
    return StoredClip(
        config=config,
        state=convert_state_dict(state, where=str(path)),
        tokenizer=_vocabulary_for(path),
        preprocessor=(_open_clip_preprocessor(preprocess_cfg, config, sidecar), str(sidecar)),
        sha256=sha256_of([path]),
        source=str(path),
    )


def from_recipe(architecture: str) -> StoredClip:
    """A named architecture whose weights are still to be drawn."""
    config = ARCHITECTURES[architecture]
    recipe = f"random weights, {architecture}, seed {RANDOM_SEED}"
    return StoredClip(
        config=config,
        state=None,
        tokenizer=WordHashTokenizer(49408),
        preprocessor=({}, architecture),
        sha256=hashlib.sha256(recipe.encode()).hexdigest(),
        source=recipe,
    )


def _vocabulary_for(path: Path) -> TextTokenizer:
    """The tokenizer beside a file of weights, else CLIP's own from the hub's cache."""
    folders = [path.parent]
    folders += [
        folder for name in _VOCABULARY_REPOSITORIES if (folder := hub.cached_vocabulary(name)) is not None
    ]
    for folder in folders:
        if has_vocabulary(names_in(folder)):
            return BpeTokenizer(folder)
    raise WeightsError(
        f"no vocabulary for {path}: put CLIP's tokenizer.json (or vocab.json and merges.txt) beside it, or "
        f"fetch one of {', '.join(_VOCABULARY_REPOSITORIES)} into the cache {hub.cache_folder()} "
        "(carvid models pull)"
    )


def _open_clip_preprocessor(
    described: Mapping[str, Any], config: Mapping[str, Any], sidecar: Path
) -> dict[str, Any]:
    """OpenCLIP's preprocess_cfg in the words of preprocessor_config.json."""
    size = config["vision_config"]["image_size"]
    mode = described.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash"):
        raise WeightsError(f"{sidecar}: resize_mode is {mode!r}, expected 'shortest' or 'squash'")
    filters = {"bicubic": 3, "bilinear": 2}
    out: dict[str, Any] = {"resample": filters.get(described.get("interpolation", "bicubic"), -1)}
    out |= {f"image_{name}": described[name] for name in ("mean", "std") if name in described}
    if mode == "squash":
        out |= {"do_center_crop": False, "size": {"height": size, "width": size}}
    return out
