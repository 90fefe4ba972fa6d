import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from carvid.clip import catalog, names
from carvid.clip.names import ClipSpec, NamedModel
from carvid.clip.random_clip import ARCHITECTURES
from tests.tiny_clip import make_tiny_clip


def entries():
    return {entry.name: entry for entry in catalog.list_models()}


def test_every_named_model_is_listed_in_order():
    assert list(entries()) == list(names.NAMED_MODELS)


def test_repositories_and_sizes():
    clip, b16 = entries()["clip"], entries()["clip-b16"]
    assert clip.sources == ("openai/clip-vit-base-patch16", "openai/clip-vit-large-patch14")
    assert b16.sources == ("openai/clip-vit-base-patch16",)
    assert clip.parameters == 149_620_737 + 427_616_513
    assert b16.size_mb == pytest.approx(598.5, abs=0.1)
    assert clip.size_mb == pytest.approx(598.5 + 1710.5, abs=0.2)


def test_random_weights_need_nothing():
    assert entries()["random:clip"].cached
    assert entries()["random:clip"].size_mb == 0


@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_parameter_counts(architecture):
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**ARCHITECTURES[architecture]))
    assert sum(parameter.numel() for parameter in model.parameters()) == catalog.PARAMETERS[architecture]


def test_an_embedded_model_is_on_disk_or_not(tmp_path, monkeypatch):
    specs = [ClipSpec(f"toy/{role}", "folder", str(tmp_path / role)) for role in ("proposer", "classifier")]
    monkeypatch.setitem(names.NAMED_MODELS, "toy", NamedModel("toy", "a toy", *specs))
    assert (entries()["toy"].cached, entries()["toy"].size_mb) == (False, 0)
    for role in ("proposer", "classifier"):
        make_tiny_clip(tmp_path / role)
    size = sum((tmp_path / role / "model.safetensors").stat().st_size for role in ("proposer", "classifier"))
    assert entries()["toy"].cached
    assert entries()["toy"].size_mb == round(size / 1e6, 1) > 0
    assert entries()["toy"].parameters is None
    assert catalog.pull("toy") == ()
