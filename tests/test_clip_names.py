from pathlib import Path

import pytest

from carvid.clip.names import CLIP, NAMED_CLIPS, SHAPES_FOLDER, preset_of, resolve_pair, resolve_spec
from carvid.errors import UsageError, WeightsError
from carvid.weights.names import WeightsSpec


def repository(name, **options):
    return WeightsSpec(name, "hub", name, CLIP, **options)


B16 = repository("openai/clip-vit-base-patch16", trusted_pickle=True)
L14 = repository("openai/clip-vit-large-patch14", trusted_pickle=True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (B16, L14)),
        ({"model": "clip"}, (B16, L14)),
        ({"model": "clip-b16"}, (B16, B16)),
        ({"model": "clip-b16", "classifier": "clip"}, (B16, L14)),
        ({"proposer": "openai/clip-vit-large-patch14"}, (L14, L14)),
        ({"model": "a/b"}, (repository("a/b"), repository("a/b"))),
        ({"model": "a/b", "proposer": "clip"}, (B16, repository("a/b"))),
    ],
)
def test_pairs(arguments, expected):
    assert resolve_pair(**arguments) == expected


def test_shapes_has_a_folder_per_role():
    proposer, classifier = resolve_pair("shapes")
    assert (proposer.kind, Path(proposer.location)) == ("folder", SHAPES_FOLDER / "proposer")
    assert (classifier.kind, Path(classifier.location)) == ("folder", SHAPES_FOLDER / "classifier")
    assert SHAPES_FOLDER.parent.name == "carvid"


def test_random_pairs_follow_the_named_architectures():
    assert [spec.location for spec in resolve_pair("random:clip")] == ["vit-b16", "vit-l14"]
    assert [spec.location for spec in resolve_pair("random:clip-b16")] == ["vit-b16", "vit-b16"]


def test_only_openai_repositories_may_be_pickles():
    trusted = [spec.location for model in NAMED_CLIPS.values() for spec in model.specs if spec.trusted_pickle]
    assert set(trusted) == {B16.location, L14.location}


def test_a_folder_and_a_file(tmp_path, monkeypatch):
    (tmp_path / "clip.pt").write_bytes(b"")
    assert resolve_spec(tmp_path, "proposer") == WeightsSpec(
        str(tmp_path), "folder", str(tmp_path.resolve()), CLIP
    )
    spec = resolve_spec(tmp_path / "clip.pt", "classifier")
    assert (spec.kind, spec.location) == ("file", str((tmp_path / "clip.pt").resolve()))
    # a local folder that is spelt like a repository wins over it; a named model wins over a folder
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "clip").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_spec("org/name", "proposer").kind == "folder"
    assert resolve_spec("clip", "proposer") == B16


@pytest.mark.parametrize(
    "name", ["./nowhere", "/nowhere/at/all", "~/nowhere", "weights.pt", "a/b.safetensors"]
)
def test_a_path_that_is_not_there(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match="no such file or folder for the classifier"):
        resolve_spec(name, "classifier")


@pytest.mark.parametrize("name", ["", "klip", "a/b/c", "a b/c", "org/", "-x/y"])
def test_names_that_are_nothing(name):
    with pytest.raises(UsageError, match=r"unknown model .* expected one of clip, clip-b16, shapes"):
        resolve_spec(name, "proposer")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "clip.onnx").write_bytes(b"")
    with pytest.raises(UsageError, match=r"clip.onnx is not a file of weights"):
        resolve_spec(tmp_path / "clip.onnx", "proposer")


def test_a_named_model_may_bring_a_preset():
    assert preset_of("shapes") == "shapes"
    assert {preset_of(name) for name in NAMED_CLIPS if name != "shapes"} == {None}
    assert preset_of(None) is None
    assert preset_of(Path("somewhere/shapes")) is None
