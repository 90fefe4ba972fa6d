"""Damaged files of a CLIP and of a SAM: whatever the damage, either they are read or a CarvidError is raised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE

from carvid.clip.load import load_clip
from carvid.clip.names import resolve_spec
from carvid.sam.load import load_sam
from carvid.sam.names import resolve_sam
from tests.damaged_inputs import refusals
from tests.mutations import damage, mutate_bytes, mutate_json
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam

CPU = torch.device("cpu")
CLIP_FILES = (
    "config.json", "preprocessor_config.json", "tokenizer_config.json", "vocab.json", "merges.txt", "tokenizer.json",
    "model.safetensors",
)  # fmt: skip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_tiny_clip(tmp_path / "whole", layers=1, text_layers=1)


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    return make_tiny_sam(tmp_path / "whole")


def write_tokenizer_json(folder: Path) -> None:
    model = BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"), end_of_word_suffix="</w>")
    Tokenizer(model).save(str(folder / "tokenizer.json"))


def use_sam(folder: Path) -> None:
    load_sam(resolve_sam(folder), device=CPU, dtype=torch.float32)


def use_clip(folder: Path) -> None:
    found = load_clip(resolve_spec(folder, "proposer"), role="proposer", device=CPU, dtype=torch.float32)
    found.texts.embed(["the red car"])
    found.tower.embed(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("name", CLIP_FILES)
def test_a_damaged_clip(clip: Path, name: str) -> None:
    if name == "tokenizer.json":
        write_tokenizer_json(clip)
    assert (
        refusals(clip, f"clip {name}", lambda folder, random: damage(folder / name, random), use_clip, 7) > 0
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_sam(sam: Path, name: str) -> None:
    assert refusals(sam, f"sam {name}", lambda folder, random: damage(folder / name, random), use_sam, 6) > 0


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_json])
def test_the_same_seed_makes_the_same_damage(mutate: Callable[[bytes, Random], bytes]) -> None:
    data = b'{"a": [1, 2, {"b": "c"}], "d": null}'
    made = [mutate(data, Random(seed)) for seed in range(30)]
    assert made == [mutate(data, Random(seed)) for seed in range(30)]
    assert len(set(made)) > 20
    assert data not in made
