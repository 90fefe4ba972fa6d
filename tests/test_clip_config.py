"""What a config.json says, against transformers' CLIPConfig and CLIPModel."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict
from typing import Any

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from carvid.clip.config import ClipConfig
from carvid.clip.random_clip import ARCHITECTURES
from carvid.clip.tensors import tensor_shapes
from carvid.errors import WeightsError

SMALL: dict[str, Any] = {
    "projection_dim": 24,
    "text_config": {
        "hidden_size": 32,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 100,
        "max_position_embeddings": 20,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
    },
    "vision_config": {
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "image_size": 35,
        "patch_size": 8,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-4,
    },
}
OLD = {"projection_dim": 24, **{f"{name}_dict": SMALL[name] for name in ("text_config", "vision_config")}}
CONFIGS = {
    "nothing said": {},
    "no parts": {"projection_dim": 8, "text_config": None, "vision_config": None},
    "everything said": SMALL,
    "the old spelling": OLD,
    "both spellings": {**SMALL, "text_config_dict": {"hidden_size": 64}, "vision_config_dict": {}},
    "the old spelling empty": {**SMALL, "text_config_dict": None},
    **ARCHITECTURES,
}


@pytest.mark.parametrize("given", CONFIGS.values(), ids=CONFIGS)
def test_values_and_shapes_are_those_of_transformers(given: dict[str, Any]) -> None:
    ours, theirs = ClipConfig.from_dict(given, where="f"), CLIPConfig.from_dict(deepcopy(given))
    told = theirs.to_dict()
    for part in ("text_config", "vision_config"):
        values = asdict(ours)[part]
        assert values == {name: told[part][name] for name in values}
    assert ours.projection_dim == theirs.projection_dim
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in CLIPModel(theirs).state_dict().items()}
    assert list(tensor_shapes(ours).items()) == list(expected.items())


@pytest.mark.parametrize(
    ("part", "name", "value", "expected"),
    [
        ("", "projection_dim", None, "a whole number from 1 to 2147483647"),
        ("vision_config", "hidden_size", "wide", "a whole number"),
        ("vision_config", "hidden_size", True, "a whole number"),
        ("vision_config", "num_attention_heads", 0, "a whole number"),
        ("vision_config", "patch_size", [8, 8], r"one number \(a square\)"),
        ("vision_config", "patch_size", 36, "no more than image_size, 35"),
        ("vision_config", "num_attention_heads", 5, "a multiple of the 5 heads"),
        ("text_config", "intermediate_size", 10**30, "from 1 to 2147483647"),
        ("text_config", "eos_token_id", None, "from 0 to 2147483647"),
        ("text_config", "hidden_act", "relu", "one of quick_gelu, gelu"),
        ("text_config", "hidden_act", {}, "one of quick_gelu, gelu"),
        ("text_config", "layer_norm_eps", float("nan"), "a number from 0 to 1"),
        ("text_config", "layer_norm_eps", "1e-5", "a number from 0 to 1"),
    ],
)
def test_values_that_are_refused(part: str, name: str, value: object, expected: str) -> None:
    given = {**SMALL, part: {**SMALL[part], name: value}} if part else {**SMALL, name: value}
    with pytest.raises(WeightsError, match=f"f: its config.json describes no CLIP: .*expected .*{expected}"):
        ClipConfig.from_dict(given, where="f")
