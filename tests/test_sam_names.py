from __future__ import annotations

from pathlib import Path

import pytest

from carvid.errors import UsageError, WeightsError
from carvid.sam.names import NAMED_SAMS, SAM, resolve_sam
from carvid.weights.names import WeightsSpec


@pytest.mark.parametrize(
    ("name", "kind", "location"),
    [
        ("sam-vit-b", "hub", "facebook/sam-vit-base"),
        ("sam-vit-l", "hub", "facebook/sam-vit-large"),
        ("sam-vit-h", "hub", "facebook/sam-vit-huge"),
        ("sam-hq-vit-h", "hub", "syscv-community/sam-hq-vit-huge"),
        ("sam2.1-tiny", "hub", "facebook/sam2.1-hiera-tiny"),
        ("random:vit-b", "random", "vit-b"),
        ("someone/a-sam", "hub", "someone/a-sam"),
    ],
)
def test_names_and_repositories(name: str, kind: str, location: str) -> None:
    spec = resolve_sam(name)
    assert (spec.kind, spec.location) == (kind, location)
    assert not spec.trusted_pickle


def test_every_named_model_resolves_to_itself() -> None:
    for name, model in NAMED_SAMS.items():
        (spec,) = model.specs
        assert resolve_sam(name) is spec
        if spec.kind == "hub":
            assert resolve_sam(spec.location) is spec


def test_folders_and_files(tmp_path: Path) -> None:
    (tmp_path / "sam_vit_b_01ec64.pth").touch()
    assert resolve_sam(tmp_path) == WeightsSpec(str(tmp_path), "folder", str(tmp_path.resolve()), SAM)
    spec = resolve_sam(tmp_path / "sam_vit_b_01ec64.pth")
    assert (spec.kind, spec.location) == ("file", str(tmp_path.resolve() / "sam_vit_b_01ec64.pth"))


def test_what_is_no_sam_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"notes.txt is not a file of weights: expected .*\.pth"):
        resolve_sam(tmp_path / "notes.txt")
    for missing in ("sam_vit_b.pth", "./nowhere", str(tmp_path / "gone")):
        with pytest.raises(WeightsError, match="no such file or folder for SAM"):
            resolve_sam(missing)
    for unknown in ("vit-b", "", "a/b/c"):
        with pytest.raises(UsageError, match=r"unknown model .* for SAM: expected one of sam-vit-b"):
            resolve_sam(unknown)
