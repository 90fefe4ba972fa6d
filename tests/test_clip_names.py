from pathlib import Path

import pytest

from carvid.clip.names import NAMED_MODELS, SHAPES_FOLDER, ClipSpec, resolve_pair, resolve_spec
from carvid.errors import UsageError, WeightsError

B16 = ClipSpec("openai/clip-vit-base-patch16", "hub", "openai/clip-vit-base-patch16", trusted_pickle=True)
L14 = ClipSpec("openai/clip-vit-large-patch14", "hub", "openai/clip-vit-large-patch14", trusted_pickle=True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, (B16, L14)),
        ({"model": "clip"}, (B16, L14)),
        ({"model": "clip-b16"}, (B16, B16)),
        ({"model": "clip-b16", "classifier": "clip"}, (B16, L14)),
        ({"proposer": "openai/clip-vit-large-patch14"}, (L14, L14)),
        ({"model": "a/b"}, (ClipSpec("a/b", "hub", "a/b"), ClipSpec("a/b", "hub", "a/b"))),
        ({"model": "a/b", "proposer": "clip"}, (B16, ClipSpec("a/b", "hub", "a/b"))),
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
    trusted = [
        spec.location
        for model in NAMED_MODELS.values()
        for spec in (model.proposer, model.classifier)
        if spec.trusted_pickle
    ]
    assert set(trusted) == {B16.location, L14.location}


def test_a_folder_and_a_file(tmp_path, monkeypatch):
    (tmp_path / "clip.pt").write_bytes(b"")
    assert resolve_spec(tmp_path, "proposer") == ClipSpec(str(tmp_path), "folder", str(tmp_path.resolve()))
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
