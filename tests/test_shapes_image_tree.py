"""The drawn images of the benchmark `shapes`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carvid.errors import OutputError
from carvid.evaluate.contract import Choice
from carvid.evaluate.drawn_images import SHAPES
from carvid.evaluate.runner import run_benchmark
from carvid.recipe import load_recipe
from carvid.shapes import scenes
from carvid.shapes.image_tree import FIRST_IMAGE_SEED, HEIGHT, MOST_THINGS, WIDTH, draw_image, write_images
from tests.benchmark_trees import write_labels


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


def test_from_images_to_figures(tmp_path: Path):
    write_images(tmp_path / "data", 2)
    data = SHAPES.read(tmp_path / "data", Choice())
    recipe = load_recipe(otherwise=SHAPES.preset)
    assert (recipe.model, recipe.mode, recipe.negatives) == ("shapes", "semantic", ())
    run_benchmark(SHAPES, data.split, data.samples, recipe, tmp_path / "out")
    figures = data.score(tmp_path / "out", "refuse").overall
    for sample in data.samples:
        write_labels(tmp_path / f"none/masks/{sample.name}.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    nothing = data.score(tmp_path / "none", "refuse").overall
    assert figures["mIoU"] > 2 * nothing["mIoU"]
    assert figures["h_T recall"] >= 0.5
