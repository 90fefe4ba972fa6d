"""What two descriptions differ in, and what counts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields

import pytest

from carvid.recipe import Recipe, load_recipe, recipe_from_json
from carvid.recipe.option import about
from carvid.recipe.record import deciding, differences, fingerprint, is_fingerprint
from carvid.recipe.refinement import AutomaticMaskOptions, CrfOptions, SamOptions
from carvid.recipe.settings import Settings


def description(hash_of_f: str = "aa", **options: object) -> dict[str, object]:
    """As a loaded model gives it, after its way through a file."""
    told = {
        "models": {"proposer": {"name": "f", "sha256": hash_of_f, "source": "/somewhere"}},
        "device": "cpu",
        "dtype": "float32",
        **load_recipe(**options).describe(),
        "sam": None,
    }
    return json.loads(json.dumps(told))


def test_names_places_and_the_device_do_not_decide() -> None:
    one, other = description(), description()
    other |= {
        "device": "cuda:0",
        "models": {"proposer": {"name": "g", "sha256": "aa", "source": "/elsewhere"}},
    }
    assert differences(one, other) == []
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"hash_of_f": "bb"}, 'models.proposer.sha256: "aa" before, "bb" now'),
        ({"theta": 0.2}, "settings.theta: 0.3 before, 0.2 now"),
        ({"truncate": True}, "truncate: false before, true now"),
        ({"crf_steps": 5}, "crf_options.steps: 10 before, 5 now"),
        ({"crf": False}, "settings.crf: true before, false now"),
        ({"engine": "other"}, 'engine: "car" before, "other" now'),
    ],
)
def test_what_decides_the_masks_is_told(changed: dict[str, object], told: str) -> None:
    one, other = description(), description(**changed)
    assert differences(one, other) == [told]
    assert fingerprint(one) != fingerprint(other)


def test_sam_decides() -> None:
    with_sam = {**description(), "sam": {"name": "x", "sha256": "cc", "source": "/", "options": {"every": 2}}}
    assert differences(description(), with_sam) == [
        "sam.options.every: null before, 2 now",
        'sam.sha256: null before, "cc" now',
    ]


def test_an_option_younger_than_a_description_stood_at_its_default() -> None:
    old = description()
    for name in ("engine", "truncate", "crf_options", "sam"):
        del old[name]
    assert differences(old, description()) == []
    assert differences(old, description(truncate=True)) == ["truncate: false before, true now"]


def test_what_is_older_than_key_frames_ran_every_frame() -> None:
    old = description(keyframes=1)
    for name in ("keyframes", "causal", "instances"):
        del old[name]
    # Written by a carvid that could carry queries, and did not.
    old["carry"] = None
    assert differences(old, description(keyframes=1)) == []
    assert differences(old, description(keyframes=5)) == ["keyframes: 1 before, 5 now"]
    assert differences(old, description(keyframes="auto")) == ["keyframes: 1 before, null now"]


def test_what_is_older_than_words_left_them_to_clip_and_took_nothing_apart() -> None:
    before = {**Recipe(words=False).describe(), "sam": None}
    del before["words"], before["settings"]["split_things"]
    assert differences(before, {**Recipe(words=False).describe(), "sam": None}) == []
    assert differences(before, {**Recipe().describe(), "sam": None}) == ["words: false before, true now"]


def test_every_field_either_decides_or_says_that_it_does_not() -> None:
    told = Recipe().describe()
    named = {*told, *told["settings"]}
    for entry in fields(Recipe):
        origins = ("preset", "variant", "speed", "model")
        assert (entry.name in named) == about(entry).decides or entry.name in origins


def test_every_method_setting_is_in_the_description() -> None:
    assert {f"settings.{entry.name}" for entry in fields(Settings)} <= set(deciding(Recipe().describe()))


def test_a_recipe_survives_its_way_through_json() -> None:
    recipe = load_recipe(
        "context",
        keyframes="auto",
        causal=True,
        sam="sam-vit-b",
        sam_points="guided",
        crf_bg_factor=2.0,
        negatives=["a dog"],
        batch=1,
    )
    assert recipe_from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_parts_are_named_with_their_prefix_or_given_whole() -> None:
    assert load_recipe(crf_steps=3).crf_options == CrfOptions(steps=3)
    assert load_recipe(sam_every=2, sam_points="guided").sam_options == SamOptions("guided", every=2)
    whole = SamOptions(automatic=AutomaticMaskOptions(points_per_side=4))
    assert load_recipe(sam_options=whole, sam_every=2).sam_options == SamOptions(
        every=2, automatic=whole.automatic
    )
    assert load_recipe(keyframes="7").keyframes == load_recipe(keyframes=7).keyframes == 7
    assert load_recipe(keyframes="auto").keyframes is None


def test_the_fingerprint_of_an_earlier_carvid_covers_what_it_knew() -> None:
    told = description()
    assert is_fingerprint(fingerprint(told), told)
    # That one had no `words` yet, and so did not take its default for granted.
    del told["words"]
    known = {name: value for name, value in deciding(told).items() if name != "words"}
    earlier = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    assert earlier != fingerprint(told)
    assert is_fingerprint(earlier, told)
    assert not is_fingerprint(earlier, {**told, "keyframes": 3})
