"""Ablations: which rows there are, the table they come to, and that a row is what a run of its own gives."""

from __future__ import annotations

import csv
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

from carvid.cli import app
from carvid.davis.dataset import read_dataset
from carvid.errors import UsageError
from carvid.evaluate.ablation import BACKGROUND, Ablation, Row, rows_of, together
from carvid.evaluate.ref_davis import samples_of
from carvid.evaluate.segmenting import Segmenting
from carvid.loading import load_model
from carvid.recipe import Recipe, load_recipe
from carvid.recipe.settings import BACKGROUND_TEXTS
from carvid.shapes.drawn_tree import write_dataset


def test_the_groups_of_background_texts_are_all_of_them_once() -> None:
    texts = [text for group in BACKGROUND.values() for text in group]
    assert sorted(texts) == sorted(BACKGROUND_TEXTS)


def test_each_row_changes_what_it_says() -> None:
    rows = {(row.group, row.name): dict(row.changes) for row in rows_of(Recipe())}
    assert rows["whole", "the recipe"] == {}
    assert rows["recurrence", "without"] == {"theta": 0.0}
    assert rows["cam", "gradcam"] == {"cam": "gradcam"}
    assert rows["crf", "without"] == {"crf": False}
    assert rows["prompts", "circle+blur"] == {"prompts": ("circle", "blur")}
    assert rows["background", "none"] == {"background": (), "background_groups": ()}
    assert rows["lambda", "0.3"] == {"lam": 0.3, "cam": "clip-es"}
    assert len({row.folder for row in rows_of(Recipe())}) == len(rows)
    assert [row.name for row in rows_of(Recipe(), ["crf"])] == ["the recipe", "without"]


def test_only_the_recipes_own_background_texts_are_tried() -> None:
    """tree and house are things in the embedded model's images."""
    rows = {row.name: row.changes["background"] for row in rows_of(load_recipe("shapes"), ["background"])[1:]}
    assert rows["terrestrial"] == ("ground", "land", "grass", "mountain", "rock", "valley")
    assert rows["all"] == load_recipe("shapes").background
    assert "house" not in rows["man-made"]
    assert rows["none"] == rows["none in f and g"] == ()


def test_each_pair_of_clips_is_loaded_once() -> None:
    rows = rows_of(Recipe(), ["clips", "crf"], ["a", "org/b"])
    pairs = [(row.proposer, row.classifier) for row in rows if row.group == "clips"]
    assert pairs == [("a", "a"), ("a", "org/b"), ("org/b", "a"), ("org/b", "org/b")]
    assert [len(alike) for alike in together(rows)] == [2, 1, 1, 1, 1]
    assert rows[2].folder == "clips-a-org-b"
    with pytest.raises(UsageError, match="need --clips"):
        rows_of(Recipe(), ["clips"])
    with pytest.raises(UsageError, match="no rows 'sam'; expected some of recurrence, cam"):
        rows_of(Recipe(), ["sam"])


def test_the_table_tells_what_a_row_loses() -> None:
    rows = [
        (Row("whole", "the recipe"), {"mIoU": 0.5, "classes": 3}),
        (Row("crf", "without"), {"mIoU": 0.4375, "classes": None}),
    ]
    table = Ablation("voc", "val", 7, rows)
    assert table.to_markdown().splitlines() == [
        "voc, val: 7 samples.",
        "",
        "| what | row | mIoU | classes | mIoU against the whole |",
        "|---|---|---|---|---|",
        "| whole | the recipe | 0.5000 | 3 | +0.0000 |",
        "| crf | without | 0.4375 | - | -0.0625 |",
    ]
    assert table.to_csv() == "what,row,mIoU,classes\nwhole,the recipe,0.5,3\ncrf,without,0.4375,\n"


def test_a_row_is_what_a_run_of_its_own_gives(tmp_path: Path) -> None:
    write_dataset(tmp_path / "davis", clips=1, frames=2)
    command = [
        "ablate",
        "refdavis",
        str(tmp_path / "davis"),
        "-o",
        str(tmp_path / "out"),
        "--model",
        "shapes",
    ]
    rows = ["--rows", "cam,crf,recurrence", "--size", "160"]
    done = CliRunner().invoke(app, [*command, *rows, "--plot"])
    assert done.exit_code == 0, done.output
    assert "| crf | without |" in done.output
    with (tmp_path / "out" / "ablation.csv").open() as file:
        table = {(row["what"], row["row"]): row["J&F (identity)"] for row in csv.DictReader(file)}
    assert list(table) == [
        ("whole", "the recipe"),
        ("cam", "clip-es"),
        ("cam", "gradcam"),
        ("crf", "without"),
        ("recurrence", "without"),
    ]
    assert (tmp_path / "out" / "ablation.png").read_bytes().startswith(b"\x89PNG")
    samples = samples_of(tmp_path / "davis", read_dataset(tmp_path / "davis"))
    for folder, changes in (
        ("whole-the-recipe", {}),
        ("cam-clip-es", {"cam": "clip-es"}),
        ("crf-without", {"crf": False}),
        ("recurrence-without", {"theta": 0.0}),
    ):
        # What a worker does for a run without rows, in this process: each worker would take seconds to start.
        model = load_model(load_recipe(model="shapes", speed="exact", size=160, batch=1, **changes))
        task = {"samples": [sample.to_json() for sample in samples]}
        Segmenting("refdavis").work(task, tmp_path / folder, model, lambda *_: None)
        with ZipFile(tmp_path / folder) as alone:
            paths = [name for name in alone.namelist() if name.endswith(".png")]
            assert len(paths) == 8
            for path in paths:
                beside = tmp_path / "out" / "rows" / folder / path.removeprefix("0/")
                assert beside.read_bytes() == alone.read(path), (folder, path)
    pairs = CliRunner().invoke(app, [*command, *rows[2:], "--rows", "clips", "--clips", "shapes"])
    assert pairs.exit_code == 0, pairs.output
    # Both are the embedded pair, so the row is the whole.
    assert [line.split("|")[3:] for line in pairs.output.splitlines() if "| clips |" in line] == [
        line.split("|")[3:] for line in pairs.output.splitlines() if "| whole |" in line
    ]
    again = CliRunner().invoke(app, [*command, *rows])
    assert "0 samples (0 frames) segmented, 1 done before" in again.output
