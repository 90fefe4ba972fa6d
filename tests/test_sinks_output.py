"""The output folder: what is refused, what is replaced, and what is never touched."""

import os
import subprocess
from pathlib import Path

import pytest

from carvid.errors import OutputError
from carvid.sinks.output import check_output, prepare_output
from carvid.sinks.run_record import RunManifest, write_manifest
from tests.sinks_cases import names_under, small_disk


def fill_with_a_run(out: Path) -> None:
    """What a run with label maps, one with separate masks, and one that was killed leave."""
    for folder in ("masks", "masks/1", "masks/2"):
        (out / folder).mkdir(parents=True)
        (out / folder / "00000.png").write_bytes(b"png")
    (out / "masks" / ".carvid-1-ab.part").write_bytes(b"cut sh")
    (out / ".carvid-1-cd.part").write_bytes(b"cut sh")
    (out / "overlay.mp4").write_bytes(b"mp4")
    (out / "results.jsonl").write_bytes(b"{}\n")
    write_manifest(
        out / "run.json",
        RunManifest(command=(), source={}, segmenter={}, options={}, queries=(), outputs=()),
    )


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    prepare_output(tmp_path / "a" / "b", None, overwrite=False)
    assert names_under(tmp_path) == ["a", "a/b"]


def test_an_empty_folder_is_used(tmp_path):
    prepare_output(tmp_path, None, overwrite=False)
    assert names_under(tmp_path) == []


@pytest.mark.parametrize("name", ["run.json", "results.jsonl", "overlay.mp4", "masks", "notes.txt"])
def test_a_folder_that_holds_anything_is_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=rf"not empty \({name}\).*--overwrite"):
        prepare_output(tmp_path, None, overwrite=False)
    assert (tmp_path / name).read_text() == "mine"


def test_checking_changes_nothing(tmp_path):
    fill_with_a_run(tmp_path / "out")
    before = names_under(tmp_path)
    check_output(tmp_path / "out", None, overwrite=True)
    check_output(tmp_path / "new", None, overwrite=False)
    assert names_under(tmp_path) == before


def test_overwrite_removes_what_carvid_wrote(tmp_path):
    fill_with_a_run(tmp_path)
    prepare_output(tmp_path, None, overwrite=True)
    assert names_under(tmp_path) == []


def test_overwrite_removes_nothing_else(tmp_path):
    fill_with_a_run(tmp_path)
    mine = ["masks/notes.txt", "masks/final/00000.png", "masks/1/x.jpg", "video.mp4", "frames/00000.png"]
    for name in mine:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    prepare_output(tmp_path, tmp_path / "video.mp4", overwrite=True)
    assert [name for name in names_under(tmp_path) if (tmp_path / name).is_file()] == sorted(mine)


@pytest.mark.parametrize("name", ["masks/00000.png", "overlay.mp4", "results.jsonl", "run.json"])
def test_overwrite_spares_files_of_those_names_that_carvid_did_not_write(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=name.split("/")[0] + ".*carvid did not write it"):
        prepare_output(tmp_path, None, overwrite=True)
    assert (tmp_path / name).read_text() == "mine"


def test_overwrite_does_not_follow_a_link_out_of_the_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "00000.png").write_text("mine")
    fill_with_a_run(tmp_path / "out")
    (tmp_path / "linked").mkdir()
    (tmp_path / "out" / "run.json").rename(tmp_path / "linked" / "run.json")
    (tmp_path / "linked" / "masks").symlink_to(tmp_path / "elsewhere")
    prepare_output(tmp_path / "linked", None, overwrite=True)
    assert names_under(tmp_path / "linked") == []
    assert (tmp_path / "elsewhere" / "00000.png").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("frames", "frames"),  # masks beside the images
        ("frames", "frames/../frames"),
        ("run/masks", "run"),  # masks among the images, which are PNG files too
        ("run/masks/1", "run"),
        ("run/overlay.mp4", "run"),  # the source itself would be replaced
    ],
)
def test_output_that_would_mix_with_the_source_is_refused(tmp_path, source, out, overwrite):
    fill_with_a_run(tmp_path / "run")
    (tmp_path / "frames").mkdir()
    before = names_under(tmp_path)
    with pytest.raises(OutputError, match="source"):
        prepare_output(tmp_path / out, tmp_path / source, overwrite=overwrite)
    assert names_under(tmp_path) == before


def test_output_is_not_mixed_with_the_source_through_a_link(tmp_path):
    (tmp_path / "frames").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "frames")
    with pytest.raises(OutputError, match="source"):
        prepare_output(tmp_path / "out", tmp_path / "frames", overwrite=True)


def test_a_folder_of_its_own_inside_the_source_is_fine(tmp_path):
    (tmp_path / "00000.png").write_bytes(b"png")
    prepare_output(tmp_path / "out", tmp_path, overwrite=False)
    assert names_under(tmp_path) == ["00000.png", "out"]


def test_a_file_or_a_dangling_link_is_no_output_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in ("file", "file/below", "link"):
        with pytest.raises(OutputError, match="output folder"):
            prepare_output(tmp_path / out, None, overwrite=True)
    assert names_under(tmp_path) == ["file", "link"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("out", ["locked", "locked/new"])
def test_a_folder_without_write_permission_is_refused(tmp_path, out):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(OutputError, match="locked"):
        check_output(tmp_path / out, None, overwrite=False)


@pytest.mark.parametrize("out", ["", "new/below"])
def test_a_read_only_disk_is_refused(tmp_path, out):
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OutputError, match="disk"):
            check_output(disk / out, None, overwrite=False)
        with pytest.raises(OutputError, match="disk"):
            prepare_output(disk / out, None, overwrite=False)
