"""The drawn images of the benchmark `shapes`."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from carvid.cli import app
from carvid.errors import OutputError
from carvid.evaluate.contract import Choice
from carvid.evaluate.drawn_images import SHAPES
from carvid.recipe import load_recipe
from carvid.shapes import scenes
from carvid.shapes.image_tree import FIRST_IMAGE_SEED, HEIGHT, MOST_THINGS, WIDTH, draw_image, write_images
from tests.benchmark_trees import write_labels

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


def test_the_classes_are_things_that_the_model_knows():
    names = SHAPES.classes("paper")
    assert len(set(names)) == 12
    for name in names:
        colour, shape = name.split()
        assert colour in scenes.COLOURS
        assert shape in scenes.SHAPES


def test_images_show_some_of_the_classes_and_labels_say_where(tmp_path: Path):
    names = write_images(tmp_path, 3)
    classes = SHAPES.classes("paper")
    data = SHAPES.read(tmp_path, Choice())
    assert [sample.name for sample in data.samples] == list(names) == ["000000", "000001", "000002"]
    for number, sample in enumerate(data.samples):
        drawn = draw_image(FIRST_IMAGE_SEED + number, classes)
        assert 1 <= len(drawn.things) <= MOST_THINGS
        labels = np.asarray(Image.open(tmp_path / f"labels/val/{sample.name}.png"))
        assert labels.shape == sample.size == (HEIGHT, WIDTH)
        for thing, mask in zip(drawn.things, drawn.masks, strict=True):
            assert set(labels[mask].tolist()) == {classes.index(thing.name) + 1}
        assert not labels[~drawn.masks.any(axis=0)].any()
        image = np.asarray(Image.open(tmp_path / f"images/val/{sample.name}.jpg"))
        # JPEG changes a value by a few levels, most where colours meet.
        assert np.abs(image.astype(int) - drawn.image).mean() < 6
    more = tmp_path / "more"
    write_images(more, 4)
    assert (more / "images/val/000002.jpg").read_bytes() == (tmp_path / "images/val/000002.jpg").read_bytes()


def test_a_tree_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_images(tmp_path / "file", 1)


def test_from_images_to_the_table_of_ablations(tmp_path: Path):
    write_images(tmp_path / "data", 2)
    recipe = load_recipe(otherwise=SHAPES.preset)
    assert (recipe.model, recipe.mode, recipe.negatives) == ("shapes", "semantic", ())
    command = ["ablate", "shapes", str(tmp_path / "data"), "-o", str(tmp_path / "out"), "--rows", "crf"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    data = SHAPES.read(tmp_path / "data", Choice())
    figures = data.score(tmp_path / "out/rows/whole-the-recipe", "refuse").overall
    for sample in data.samples:
        write_labels(tmp_path / f"none/masks/{sample.name}.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    nothing = data.score(tmp_path / "none", "refuse").overall
    assert figures["mIoU"] > 2 * nothing["mIoU"]
    assert figures["h_T recall"] >= 0.5
    script = [sys.executable, str(SCRIPTS / "ablation_spread.py"), "shapes", *command[2:3], command[4]]
    said = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0] == "2 images."
    first = [cell.strip() for cell in said[4].split("|")[1:-1]]
    assert first == [
        "whole",
        "the recipe",
        f"{figures['mIoU']:.3f}",
        "",
        f"{figures['h_T precision']:.3f}",
        f"{figures['h_T recall']:.3f}",
    ]
    assert [line.split("|")[1:3] for line in said if "without" in line] == [[" crf ", " without "]] * 2


def test_differences_of_resampled_images_are_those_of_counting_them_again():
    spread = runpy.run_path(str(SCRIPTS / "ablation_spread.py"))
    # Two images, the classes 0 and 1: three of four pixels right, then all of two.
    confusion = np.array([[[2, 1], [0, 1]], [[1, 0], [0, 1]]])
    ious = spread["mean_ious"](np.array([[1, 1], [2, 0], [0, 2]]), confusion)
    assert ious.tolist() == pytest.approx([(3 / 4 + 2 / 3) / 2, (2 / 3 + 1 / 2) / 2, 1])
    # Of two pixels of things both are right; of three called a thing one is background.
    assert spread["pixel_shares"](confusion.sum(0)) == pytest.approx((1, 0, 0, 1 / 3))
    # Class 1 takes half of the background: once where it is, once where it is not.
    assert spread["ground_taken"](np.array([[[1, 1], [0, 1]], [[1, 1], [0, 0]]])) == 1
