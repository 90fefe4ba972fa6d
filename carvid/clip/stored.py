"""A CLIP as it is found: a folder, a single file, or a recipe for random weights; no tensor checked yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carvid.clip.convert import convert_state_dict, has_openai_facts, infer_config, is_openai_layout
from carvid.clip.random_clip import ARCHITECTURES, RANDOM_SEED
from carvid.clip.tokenizer import BpeTokenizer, TextTokenizer, WordHashTokenizer
from carvid.errors import WeightsError
from carvid.paths import is_file
from carvid.weights import stored
from carvid.weights.damage import refused
from carvid.weights.files import CONFIG, has_vocabulary, names_in, read_json, sha256_of
from carvid.weights.locate import Located
from carvid.weights.stored import Stored
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


def read_clip(located: Located) -> tuple[Stored, TextTokenizer]:
    """The located CLIP and its tokenizer. Raises WeightsError."""
    if located.spec.kind == "random":
        architecture = located.spec.location
        recipe = f"random weights, {architecture}, seed {RANDOM_SEED}"
        return stored.from_recipe(ARCHITECTURES[architecture], recipe), WordHashTokenizer(49408)
    if located.spec.kind == "file":
        with refused(f"{located.spec.name} holds no CLIP that can be read"):
            return _from_file(located)
    return stored.from_folder(located, ("clip",)), BpeTokenizer(located.folder)


def _from_file(located: Located) -> tuple[Stored, TextTokenizer]:
    """The CLIP in one file in OpenAI's or OpenCLIP's layout."""
    (path,) = located.weights
    state = read_state_dict([path], allow_pickle=located.allow_pickle)
    if not is_openai_layout(state):
        raise WeightsError(
            f"{path} holds no visual.*: expected OpenAI's or OpenCLIP's layout. For Hugging Face's, name the "
            f"folder that holds {CONFIG} as well"
        )
    sidecar = path.parent / OPEN_CLIP_CONFIG
    described = read_json(sidecar) if is_file(sidecar, WeightsError) else {}
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
    found = Stored(
        config=config,
        state=convert_state_dict(state, where=str(path)),
        sha256=sha256_of([path]),
        source=str(path),
        preprocessor=_open_clip_preprocessor(preprocess_cfg, config, sidecar),
        preprocessor_source=str(sidecar),
    )
    return found, _vocabulary_for(path)


def _vocabulary_for(path: Path) -> TextTokenizer:
    """The tokenizer beside a file of weights, else CLIP's own from the hub's cache."""
    from carvid.weights import hub  # late, as in `carvid.weights.locate`

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
