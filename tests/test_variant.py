"""`--variant` and `--switch`: which there are, how a recipe comes by them, and what benchmarks make of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from carvid.errors import UsageError
from carvid.evaluate.ablation import Ablation, rows_of
from carvid.evaluate.context import CONTEXT
from carvid.evaluate.contract import Sample
from carvid.recipe import Recipe, load_recipe, recipe_from_json
from carvid.recipe.presets import at_speed, preset_names
from carvid.recipe.record import differences
from carvid.recipe.settings import Settings
from carvid.recipe.variant import SWITCHES, VARIANTS, resolved

PACKAGE = Path(__file__).resolve().parents[1] / "carvid"


def test_each_switch_is_read_by_one_file_the_one_of_its_stage() -> None:
    sources = {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "variant.py"}
    for name in SWITCHES:
        assert sum(len(re.findall(rf'"{name}" (?:not )?in ', text)) for text in sources.values()) == 1, name


def test_every_switch_is_documented() -> None:
    told = (PACKAGE.parent / "docs" / "variants.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", told, re.MULTILINE)) == set(SWITCHES)


def test_a_variant_turns_all_switches_and_a_switch_one() -> None:
    assert load_recipe().switches == load_recipe(variant="paper").switches == ()
    assert load_recipe(variant="released").switches == tuple(SWITCHES)
    assert load_recipe(switches=["gray-swapped", "boxes-border"]).switches == ("boxes-border", "gray-swapped")
    every_other = load_recipe(variant="released", switches=["no-gray-swapped"]).switches
    assert every_other == tuple(name for name in SWITCHES if name != "gray-swapped")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "draft"}, "variant is 'draft'; expected one of paper, released"),
        ({"switches": ["gray"]}, "unknown switch 'gray'; expected some of origami-later,"),
        ({"switches": "gray-swapped"}, "switches is 'gray-swapped'; expected a list of texts"),
        ({"switches": [3]}, r"switches is \[3\]; expected a list of texts"),
    ],
)
def test_an_unknown_variant_or_switch_is_refused(given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(**given)


def test_switches_decide_the_masks_and_the_variant_only_says_where_they_come_from() -> None:
    paper, released = load_recipe(), load_recipe(variant="released")
    by_name = load_recipe(switches=list(SWITCHES))
    assert differences(released.describe(), by_name.describe()) == []
    assert [line.split(":")[0] for line in differences(paper.describe(), released.describe())] == [
        "settings.switches"
    ]


def test_a_recipe_keeps_its_switches_on_its_way() -> None:
    recipe = load_recipe("refcoco", variant="released", switches=["no-boxes-border"])
    assert recipe_from_json(recipe.to_json()) == recipe
    assert at_speed(recipe, "live").switches == recipe.switches
    with pytest.raises(UsageError, match="each once, in the order of the method"):
        Settings(switches=("gray-swapped", "boxes-border"))


def test_a_presets_values_for_the_released_code_hold_for_that_variant_alone(tmp_path: Path) -> None:
    assert load_recipe("refcoco").prompts == ("circle", "blur")
    assert load_recipe("refcoco", variant="released").prompts == ("circle",)
    assert load_recipe("refcocog", variant="released").prompts == ("circle", "blur")
    assert load_recipe("refcoco", variant="released", prompts=["black"]).prompts == ("black",)
    assert (load_recipe("context").theta, load_recipe("context", variant="released").theta) == (0.2, 0.25)
    own = tmp_path / "own.yaml"
    own.write_text("base: refcoco\nprompts: [gray]\nvariant: released\n")
    assert load_recipe(str(own)).prompts == ("gray",)
    assert load_recipe(str(own)).switches == tuple(SWITCHES)
    own.write_text("released: [gray]\n")
    with pytest.raises(UsageError, match="released holds a list; expected a mapping of option names"):
        load_recipe(str(own))
    for name in preset_names():
        load_recipe(name, variant="released")


def test_an_ablation_turns_each_switch_of_the_recipe() -> None:
    paper = {row.name: row.changes["switches"] for row in rows_of(Recipe(), ["variant"])[1:]}
    assert set(paper) == {*SWITCHES, *VARIANTS} - {"two-passes"}
    assert paper["gray-swapped"] == ("gray-swapped",)
    assert (paper["paper"], paper["released"]) == ((), tuple(SWITCHES))
    released = {row.name: row.changes for row in rows_of(load_recipe(variant="released"), ["variant"])}
    assert released["no-gray-swapped"]["switches"] == resolved("released", ["no-gray-swapped"])
    assert "variant" not in {row.group for row in rows_of(Recipe())}


def test_context_asks_for_stuff_and_for_things() -> None:
    (one,) = CONTEXT.asked("paper", two_passes=False)
    assert len(one.queries) == 59
    stuff, things = CONTEXT.asked("released", two_passes=True)
    assert (stuff.name, len(stuff.queries), things.name, len(things.queries)) == ("stuff", 21, "things", 38)
    assert sorted(stuff.labels + things.labels) == list(range(1, 60))
    assert {"building", "track", "tree"} <= set(things.queries)
    assert stuff.settings["background"] == things.queries
    assert stuff.settings["prompts"] == ("blur", "gray")
    assert things.settings["prompts"] == ("blur", "circle")
    # The paper's names of the same classes.
    assert "aeroplane" in CONTEXT.asked("paper", two_passes=True)[1].queries


def test_stuff_is_painted_first() -> None:
    class Found:
        def __init__(self, query: str, label_map: list) -> None:
            self.objects = [type("Object", (), {"id": 1, "query": query})]
            self.label_map = np.array(label_map)

    asked = CONTEXT.asked("released", two_passes=True)
    sample = Sample("a", ("a.jpg",), (1, 3), asked)
    found = {"stuff": Found("sky", [[1, 1, 0]]), "things": Found("bird", [[0, 1, 1]])}
    sky, bird = (asked[i].labels[asked[i].queries.index(name)] for i, name in ((0, "sky"), (1, "bird")))
    ((path, labels),) = CONTEXT.paint(sample, "a", found)
    assert (path, labels.tolist()) == ("masks/a.png", [[sky, bird, bird]])


def test_an_ablations_table_says_what_each_switch_does() -> None:
    rows = [
        row
        for row in rows_of(Recipe(), ["variant"])
        if row.name in ("the recipe", "gray-swapped", "released")
    ]
    text = Ablation("voc", "val", 2, [(row, {"mIoU": 0.5}) for row in rows]).to_markdown()
    assert "| variant | gray-swapped | 0.5000 | +0.0000 |" in text
    assert "- `gray-swapped` (v): Gray weighs red as blue, and blue as red." in text
    assert "boxes-border" not in text
