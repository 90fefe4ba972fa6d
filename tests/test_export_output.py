"""What holds for every format: whole or not at all, the same bytes, errors and exit codes, flat memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from carvid.cli.exits import exits
from carvid.cli.export import export
from carvid.cli.review import review
from carvid.errors import InputError, OutputError, UsageError
from carvid.export import FORMATS, ExportOptions, export_dataset
from carvid.export.formats import find_format
from carvid.export.tree import OutputTree
from carvid.store.schema import DATABASE
from tests.export_cases import case, videos
from tests.labelled import Labelled, scene, write_dataset
from tests.media import moving_square, write_video

PLAIN = ExportOptions(pictures=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case(tmp_path_factory.mktemp("case"))


def run(*arguments: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command("export")(exits(export))
    app.command("review")(exits(review))
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_labels_give_the_same_bytes_wherever_they_lie(name: str, tmp_path: Path) -> None:
    here, there = tmp_path / "input", tmp_path / "moved" / "input"
    labelled = videos(here)
    first = write_dataset(tmp_path / "first", labelled)
    # Copied: encoded again, a video may differ.
    shutil.copytree(here, there)
    moved = [replace(one, source=there / one.source.relative_to(here)) for one in labelled]
    second = write_dataset(tmp_path / "second", moved)
    export_dataset(first, name, tmp_path / "a")
    export_dataset(second, name, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not any(str(tmp_path).encode() in data for data in files(tmp_path / "a").values())


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "rgba"])
def test_memory_does_not_grow_with_the_video(name: str, tmp_path: Path) -> None:
    def peak(count: int) -> int:
        missing = tmp_path / "missing.mp4"
        one = Labelled("a.mp4", missing, ("a", "b", "c"), scene(count, 24, 70))
        dataset = write_dataset(tmp_path / f"{count}", [one])
        options = None if find_format(name).pictures == "unused" else PLAIN
        tracemalloc.start()
        export_dataset(dataset, name, tmp_path / f"out{count}", options)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    # One mask of each of these 100 frames alone would be 168,000 bytes.
    assert peak(120) - peak(20) < 84_000


def test_an_output_folder_is_refused_unless_an_export_is_to_be_overwritten(
    dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_dataset(dataset, "coco", out, PLAIN)
    before = files(out)
    with pytest.raises(OutputError, match=r"not empty.*--overwrite"):
        export_dataset(dataset, "masks", out)
    assert files(out) == before
    export_dataset(dataset, "masks", out, ExportOptions(overwrite=True))
    assert "annotations/instances_default.json" not in files(out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_export_is_never_overwritten(dataset: Path, tmp_path: Path) -> None:
    overwrite = ExportOptions(overwrite=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"precious")
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    with pytest.raises(OutputError, match="not an earlier export"):
        export_dataset(dataset, "masks", tmp_path / "photos", overwrite)
    for name in ("file", "link"):
        with pytest.raises(OutputError, match="is not a folder"):
            export_dataset(dataset, "masks", tmp_path / name, overwrite)
    for out in (dataset, dataset.parent):
        with pytest.raises(OutputError, match="lies in the output folder"):
            export_dataset(dataset, "masks", out, overwrite)
    assert (tmp_path / "photos" / "me.jpg").read_bytes() == b"precious"
    (tmp_path / "empty").mkdir()
    assert export_dataset(dataset, "masks", tmp_path / "empty").frames == 9


def test_a_failure_leaves_nothing_behind_and_the_earlier_export_whole(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_dataset(dataset, "masks", out)
    before = files(out)
    copy = shutil.copytree(dataset, tmp_path / "copy")
    connection = sqlite3.connect(copy / DATABASE)
    connection.execute("UPDATE annotations SET rle = '!' WHERE video_id = 3 AND area_px > 0")
    connection.commit()
    connection.close()
    with pytest.raises(InputError, match="run-length code"):
        export_dataset(copy, "masks", out, ExportOptions(overwrite=True))
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "out"]


def test_a_damaged_database_is_an_input_error(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    database = copy / DATABASE
    connection = sqlite3.connect(database)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'annotations'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    for name in ("coco", "masks"):
        with pytest.raises(InputError, match="cannot read the dataset"):
            export_dataset(copy, name, tmp_path / "out", ExportOptions())
    assert not (tmp_path / "out").exists()
    done = run("review", copy)
    assert (done.exit_code, "cannot read the dataset" in done.stderr) == (3, True)
    assert not (copy / "review.csv").exists()


def test_a_disk_that_fills_up_is_an_output_error(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")

    def write() -> None:
        with OutputTree(tmp_path / "out", tmp_path / "dataset", overwrite=False) as tree:
            # The file about to be written is one that takes nothing.
            (next(tmp_path.glob(".carvid-*.part")) / "a.json").symlink_to(full)
            with tree.text("a.json") as file:
                file.write("x")

    with pytest.raises(OutputError, match=r"No space left.*free some space"):
        write()
    assert not list(tmp_path.iterdir())


def test_two_exports_do_not_write_to_one_place(dataset: Path, tmp_path: Path) -> None:
    with OutputTree(tmp_path / "out", dataset, overwrite=False) as tree:
        for options in (PLAIN, ExportOptions(pictures=False, overwrite=True)):
            with pytest.raises(OutputError, match=f"is in use: process {os.getpid()} on"):
                export_dataset(dataset, "coco", tmp_path / "out", options)
        tree.write("a.txt", b"x")
    assert files(tmp_path) == {"out/a.txt": b"x"}


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with OutputTree(tmp_path / "out", tmp_path / "dataset", overwrite=False) as tree:
            tree.write("a/b.txt", b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_gone_or_changed_is_named(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving_square(4))
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", video, ("a", "b", "c"), scene(4))])
    write_video(video, moving_square(3))
    with pytest.raises(InputError, match=r"video 1 was labelled: it has another SHA-256.*--no-images"):
        export_dataset(dataset, "coco", tmp_path / "out")
    video.unlink()
    with pytest.raises(InputError, match=r"is not there.*--no-images"):
        export_dataset(dataset, "coco", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert export_dataset(dataset, "coco", tmp_path / "out", PLAIN).frames == 4


def test_a_source_that_gives_other_frames_is_named(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving_square(3))
    queries = ("a", "b", "c")
    short = write_dataset(tmp_path / "short", [Labelled("a.mp4", video, queries, scene(5))])
    with pytest.raises(InputError, match="ends before frame 3"):
        export_dataset(short, "coco", tmp_path / "out")
    large = write_dataset(tmp_path / "large", [Labelled("a.mp4", video, queries, scene(2, 50, 70))])
    with pytest.raises(InputError, match="gives frame 0 as 64x48, not 70x50"):
        export_dataset(large, "coco", tmp_path / "out")


def test_more_queries_than_a_label_map_holds_are_refused(tmp_path: Path) -> None:
    masks = np.zeros((1, 256, 4, 5), np.bool_)
    masks[0, 255] = True
    queries = tuple(f"q{i}" for i in range(256))
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", tmp_path / "a.mp4", queries, masks)])
    for name, most in (("ytvos", 255), ("davis", 254)):
        with pytest.raises(UsageError, match=f"256 objects.*hold {most}"):
            export_dataset(dataset, name, tmp_path / name, PLAIN)
    assert export_dataset(dataset, "coco", tmp_path / "coco", PLAIN).masks == 1


def test_long_videos_keep_names_in_order(tmp_path: Path) -> None:
    one = Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b", "c"), scene(2), first=99_999)
    export_dataset(write_dataset(tmp_path / "dataset", [one]), "masks", tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "000001" / "001").iterdir())
    assert names == ["099999.png", "100000.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "excel"], 2, "there is no format 'excel'; choose one of coco, ytvis, ytvos, davis"),
        (["--to", "rgba", "--no-images"], 2, "made of pictures"),
        (["--to", "cvat", "--images"], 2, "holds no pictures"),
        (["--to", "yolo-seg", "--tolerance", "-1"], 2, "must be 0 or more"),
        (["--to", "yolo-seg", "--polygons"], 2, "yolo-seg has no --polygons"),
        (["--to", "coco", "--val-share", "0.5"], 2, "coco has no --val-share"),
        (["--to", "yolo-seg", "--val-share", "1"], 2, "must be at least 0 and below 1"),
        (["--to", "masks", "-o", "/proc/nothing/here"], 4, "cannot write"),
    ],
)
def test_what_cannot_be_asked_for(
    dataset: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    out = [] if "-o" in arguments else ["-o", tmp_path / "out"]
    done = run("export", dataset, *arguments, *out)
    assert done.exit_code == code, done.stderr
    assert message in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_no_dataset_and_nothing_done_are_input_errors(tmp_path: Path) -> None:
    done = run("export", tmp_path, "--to", "coco", "-o", tmp_path / "out")
    assert (done.exit_code, "holds no annotations.sqlite" in done.stderr) == (3, True)
    waiting = Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b", "c"), scene(1), status="waiting")
    dataset = write_dataset(tmp_path / "dataset", [waiting])
    done = run("export", dataset, "--to", "coco", "-o", tmp_path / "out")
    assert (done.exit_code, "no video" in done.stderr) == (3, True)


def test_the_command_reports_what_it_did(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("export", dataset, "--to", "yolo-seg", "-o", out, "--no-images", "--tolerance", "0")
    assert done.exit_code == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == f"yolo-seg: 3 videos, 9 frames, 13 masks: {out}"
    assert re.fullmatch(
        r"mean IoU loss of the polygons against the masks: 0\.0\d+; of the worst mask: 0\.0\d+", second
    )
    davis = run("export", dataset, "--to", "davis", "-o", tmp_path / "davis", "--no-images")
    assert davis.stdout.splitlines()[1] == "left out: 0 videos, 1 frames, 1 objects"
    assert "carvid: not exported, video 4 (broken.mp4) is failed: no decodable frame\n" in done.stderr
    assert "carvid: not exported, video 5 (later.mp4) is waiting\n" in done.stderr
    assert not (out / "images").exists()
    again = run("export", dataset, "--to", "masks", "-o", out)
    assert (again.exit_code, "--overwrite" in again.stderr) == (4, True)
    again = run("export", dataset, "--to", "masks", "-o", out, "--overwrite", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["masks"] == 13
