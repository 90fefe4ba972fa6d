import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from carvid.clip.names import CLIP, NAMED_CLIPS, resolve_pair
from carvid.clip.random_clip import ARCHITECTURES
from carvid.errors import UsageError
from carvid.sam.names import NAMED_SAMS
from carvid.weights.catalog import list_models, pull
from carvid.weights.names import NamedWeights, WeightsSpec
from tests.tiny_clip import make_tiny_clip

NAMED = NAMED_CLIPS | NAMED_SAMS


def entries(named=NAMED):
    return {entry.name: entry for entry in list_models(named.values())}


def test_every_named_model_is_listed_in_order():
    assert list(entries()) == [*NAMED_CLIPS, *NAMED_SAMS]


def test_repositories_and_sizes():
    clip, b16, sam = entries()["clip"], entries()["clip-b16"], entries()["sam-vit-b"]
    assert clip.sources == ("openai/clip-vit-base-patch16", "openai/clip-vit-large-patch14")
    assert b16.sources == ("openai/clip-vit-base-patch16",)
    assert clip.parameters == 149_620_737 + 427_616_513
    assert b16.size_mb == pytest.approx(598.5, abs=0.1)
    assert clip.size_mb == pytest.approx(598.5 + 1710.5, abs=0.2)
    assert sam.size_mb == 374.9


@pytest.mark.parametrize("name", ["random:clip", "random:vit-b"])
def test_random_weights_need_nothing(name):
    assert entries()[name].cached
    assert entries()[name].size_mb == 0
    assert pull(name, NAMED, CLIP) == ()


@pytest.mark.parametrize("spec", resolve_pair("random:clip"), ids=lambda spec: spec.location)
def test_parameter_counts(spec):
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**ARCHITECTURES[spec.location]))
    assert sum(parameter.numel() for parameter in model.parameters()) == spec.parameters


def test_an_embedded_model_is_on_disk_or_not(tmp_path):
    folders = [tmp_path / role for role in ("proposer", "classifier")]
    specs = tuple(WeightsSpec(f"toy/{folder.name}", "folder", str(folder), CLIP) for folder in folders)
    toy = {"toy": NamedWeights("toy", "a toy", specs)}
    assert (entries(toy)["toy"].cached, entries(toy)["toy"].size_mb) == (False, 0)
    for folder in folders:
        make_tiny_clip(folder)
    size = sum((folder / "model.safetensors").stat().st_size for folder in folders)
    assert entries(toy)["toy"].cached
    assert entries(toy)["toy"].size_mb == round(size / 1e6, 1) > 0
    assert entries(toy)["toy"].parameters is None
    assert pull("toy", toy, CLIP) == ()


def test_there_is_nothing_to_fetch_for_a_path(tmp_path):
    with pytest.raises(UsageError, match="is a local path: there is nothing to fetch"):
        pull(str(tmp_path), NAMED, CLIP)
