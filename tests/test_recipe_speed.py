"""The one knob: what each speed sets, and what comes before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from carvid.errors import UsageError
from carvid.recipe import Recipe, at_speed, load_recipe
from carvid.recipe.record import deciding
from carvid.recipe.speed import SPEEDS, in_options


def test_balanced_is_the_defaults_and_exact_is_the_paper() -> None:
    assert load_recipe() == Recipe()
    assert load_recipe().speed == "balanced"
    exact = load_recipe(speed="exact")
    assert (exact.size, exact.keyframes, exact.crf_size) == ("full", 1, "full")
    assert load_recipe("refcoco") == load_recipe("refcoco", speed="exact")
    for preset in ("refdavis", "refcoco+", "refcocog", "voc", "context", "coco"):
        assert load_recipe(preset).speed == "exact"


def test_every_value_that_a_speed_sets_can_be_given() -> None:
    live = load_recipe(speed="live")
    assert {name: getattr(live, name) for name in SPEEDS["live"]} == dict(SPEEDS["live"])
    assert load_recipe(speed="live", size=300, keyframes=4).size == 300
    assert load_recipe(speed="live", keyframes="auto").keyframes is None
    # Its own CLIPs are for who names none.
    assert load_recipe(speed="live", model="shapes").model == "shapes"
    assert load_recipe("shapes", speed="live").model == "shapes"


def test_a_recipe_at_another_speed_keeps_what_no_speed_sets() -> None:
    live = load_recipe(speed="live", theta=0.125, model="shapes", device="cpu")
    exact = at_speed(live, "exact")
    assert (exact.speed, exact.size, exact.keyframes, exact.causal) == ("exact", "full", 1, False)
    assert (exact.theta, exact.model, exact.device) == (0.125, "shapes", "cpu")
    assert at_speed(exact, "live") == live
    assert at_speed(load_recipe(speed="exact", theta=0.125), "balanced") == load_recipe(theta=0.125)


def test_a_preset_may_name_a_speed_and_its_own_values_come_before(tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("speed: live\nkeyframes: 3\n")
    found = load_recipe(str(preset))
    assert (found.speed, found.size, found.keyframes) == ("live", 224, 3)
    asked = load_recipe(str(preset), speed="exact")
    assert (asked.speed, asked.size, asked.keyframes) == ("exact", "full", 3)
    assert load_recipe("refcoco", speed="balanced").size == Recipe().size


def test_a_speed_is_told_in_the_options_it_comes_to() -> None:
    assert in_options(load_recipe(speed="exact")).startswith("--speed exact: --size full --keyframes 1")
    assert "--causal" not in in_options(load_recipe())
    assert "--keyframes auto" in in_options(load_recipe())
    live = in_options(load_recipe(speed="live", keyframes=7))
    assert "--speed live: --size 224 --keyframes 7 --crf-size 240 --causal --flow-size 240" in live


@pytest.mark.parametrize("wrong", ["fast", 3, ["live"]])
def test_an_unknown_speed_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"speed is .*; expected one of exact, balanced, live"):
        load_recipe(speed=wrong)


def test_the_speed_is_recorded_but_what_it_sets_decides() -> None:
    exact = load_recipe(speed="exact")
    assert exact.describe()["settings"]["speed"] == "exact"
    by_hand = load_recipe(size="full", keyframes=1, crf_size="full")
    assert deciding(exact.describe()) == deciding(by_hand.describe())
    # What was written before there was a working size looked at whole frames.
    old = exact.describe()
    del old["settings"]["size"], old["flow_size"], old["keyframes"], old["crf_size"]
    assert deciding(old)["settings.size"] == "full"
    assert deciding(old)["keyframes"] == 1
    assert deciding(old)["crf_size"] == "full"
