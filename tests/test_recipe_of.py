"""A recipe read out of what a dataset or run says of its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carvid.loading import load_model
from carvid.recipe import load_recipe, recipe_of
from tests.tiny_sam import make_tiny_sam


def test_it_is_the_recipe_that_was_described(tmp_path: Path) -> None:
    options = {"theta": 0.25, "keyframes": 4, "background": ["sky"], "sam_points": "guided", "crf_steps": 3}
    sam = str(make_tiny_sam(tmp_path))
    model = load_model(load_recipe(model="shapes", device="cpu", sam=sam, **options))
    described = json.loads(json.dumps(model.describe()))
    assert recipe_of(described) == load_recipe(model="shapes", sam=described["sam"]["name"], **options)


def test_what_an_older_description_lacks_is_as_it_was_then() -> None:
    described = load_recipe(model="shapes").describe()
    for name in ("words", "keyframes"):
        del described[name]
    found = recipe_of(described)
    assert (found.words, found.keyframes) == (False, 1)
    assert recipe_of({}).model == load_recipe().model


@pytest.mark.parametrize("name", ["shapes", "refdavis", "default"])
def test_presets_come_back(name: str) -> None:
    assert recipe_of(load_recipe(name).describe()) == load_recipe(name)
