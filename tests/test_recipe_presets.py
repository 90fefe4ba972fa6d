"""Presets and settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from carvid.errors import UsageError
from carvid.recipe import Recipe, load_recipe, preset_names, with_options
from carvid.recipe.presets import configs_folder
from carvid.recipe.settings import BACKGROUND_TEXTS, Settings


@pytest.mark.parametrize(
    ("preset", "eta", "theta", "lam", "prompts", "model", "mode"),
    [
        ("voc", 0.4, 0.6, 0.4, ("circle", "blur"), "clip", "semantic"),
        ("coco", 0.5, 0.3, 0.5, ("blur", "gray"), "clip", "semantic"),
        ("context", 0.6, 0.2, 0.4, ("blur", "gray"), "clip", "semantic"),
        ("refcoco", 0.5, 0.3, 0.5, ("circle", "blur"), "clip-b16", "refer"),
        ("refcoco+", 0.2, 0.1, 0.5, ("circle", "blur"), "clip-b16", "refer"),
        ("refcocog", 0.5, 0.1, 0.6, ("circle", "blur"), "clip-b16", "refer"),
        ("refdavis", 0.5, 0.3, 0.5, ("circle", "blur"), "clip-b16", "refer"),
    ],
)
def test_the_papers_presets(
    preset: str, eta: float, theta: float, lam: float, prompts: tuple[str, ...], model: str, mode: str
) -> None:
    settings = load_recipe(preset)
    found = (settings.eta, settings.theta, settings.lam, settings.prompts, settings.model, settings.mode)
    assert found == (eta, theta, lam, prompts, model, mode)
    assert settings.negatives == ()
    assert settings.keep_best
    assert len(settings.templates) == (15 if mode == "semantic" else 1)


def test_default_is_refcoco_with_the_background_texts_as_negatives() -> None:
    settings = load_recipe()
    assert settings == Recipe()
    assert settings.negative_texts(["a cat"]) == BACKGROUND_TEXTS
    assert (settings.eta, settings.theta, settings.lam) == (0.5, 0.3, 0.5)
    assert not settings.keep_best


def test_there_are_23_background_texts() -> None:
    assert len(BACKGROUND_TEXTS) == len(set(BACKGROUND_TEXTS)) == 23


def test_a_query_equal_to_a_background_text_removes_it() -> None:
    settings = Settings()
    assert "tree" not in settings.background_texts(["Tree ", "the red car"])
    assert "tree" not in settings.negative_texts(["Tree ", "the red car"])
    assert len(settings.background_texts(["a tree"])) == 23


def test_things_and_stuff_are_each_others_background() -> None:
    settings = load_recipe("context")
    assert "sky" in settings.background_texts(["car"])
    assert "dog" not in settings.background_texts(["car"])
    assert "car" in settings.background_texts(["sky"])
    mixed = settings.background_texts(["car", "sky"])
    assert {"dog", "grass"} < set(mixed)
    assert not {"car", "sky"} & set(mixed)


def test_keywords_override_a_preset_and_none_does_not() -> None:
    assert load_recipe("voc", eta=0.9, theta=None).eta == 0.9
    assert load_recipe("voc", theta=None).theta == 0.6
    assert load_recipe("voc", background=[]).background == ()


def test_a_preset_may_be_a_file_based_on_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: voc\neta: 0.7\n")
    settings = load_recipe(str(path))
    assert (settings.eta, settings.theta, settings.mode) == (0.7, 0.6, "semantic")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "both"}, "mode is 'both'; expected one of refer, semantic"),
        ({"cam": "scorecam"}, "expected one of clip-es, gradcam"),
        ({"eta": 1.5}, "eta is 1.5; expected a number from 0 to 1"),
        ({"theta": -0.1}, "theta is -0.1"),
        ({"lam": "half"}, "lam is 'half'"),
        ({"eta": True}, "eta is True; expected a number from 0 to 1"),
        ({"eta": float("nan")}, "eta is nan"),
        ({"crf": "maybe"}, "crf is 'maybe'; expected true or false"),
        ({"prompts": "blur"}, "prompts is 'blur'; expected a list of texts"),
        ({"background": [3]}, r"background is \(3,\); expected a list of texts"),
        ({"background_groups": ["sky"]}, "expected a list of lists of texts"),
        ({"device": 3}, "device is 3; expected a text"),
        ({"keyframes": "0"}, "keyframes is '0'; expected auto or a whole number from 1"),
        ({"batch": 0}, "batch is 0; expected a whole number from 1"),
        ({"batch": "few"}, "batch is 'few'; expected auto or a whole number from 1"),
        ({"sam_every": 0}, "sam_every is 0; expected a whole number from 1"),
        ({"sam_points": "all"}, "sam_points is 'all'; expected one of full, guided"),
        ({"crf_steps": -1}, "steps is -1; expected 0 or more"),
        ({"crf_steps": "ten"}, "steps is 'ten'; expected a whole number"),
        ({"crf_options": 7}, "crf_options is 7; expected names with values"),
        ({"crf_options": {"stesp": 7}}, "crf_options: unknown stesp; expected some of gaussian_sxy"),
        ({"sam_automatic": {"points": 7}}, "sam_options.automatic: unknown points; expected some of"),
        (
            {"sam_automatic": {"pred_iou_thresh": "high"}},
            "pred_iou_thresh is 'high'; expected a number from 0",
        ),
        ({"batch": "9" * 5000}, "expected auto or a whole number from 1"),
        ({"model": ["clip"]}, r"model is \['clip'\]; expected a text"),
        ({"tehta": 0.2}, "unknown tehta; expected some of"),
        ({"prompts": ["arrow"]}, "unknown visual prompt 'arrow'"),
        ({"prompts": []}, "no visual prompt"),
        ({"templates": ["a photo"]}, "has no place for the query"),
        ({"templates": []}, "no template"),
        ({"negatives": [" "]}, "negative text is empty"),
        ({"background": [""]}, "background text is empty"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(**values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("etta: 0.5", "unknown etta"),
        ("- a\n- b", "holds a list"),
        ("eta: [", "is not YAML"),
        ("base: nowhere", "no preset 'nowhere'"),
        ("base: [voc]", r"base is \['voc'\]; expected the name of a preset"),
        ("base: " + "a" * 3000, "File name too long"),
        ("background: &all [*all]", "expected a list of texts"),
        ("eta: yes", "eta is True; expected a number"),
        ("1: 2", "names an option 1; expected a word"),
        ("a: " + "[" * 5000, "is not YAML"),
    ],
)
def test_a_bad_preset_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        load_recipe(str(path))


def test_presets_based_on_each_other_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"base: {path}")
    with pytest.raises(UsageError, match="circle"):
        load_recipe(str(path))


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(
        UsageError, match="expected one of ade, car-demo, coco, context, default, gres, refcoco"
    ):
        load_recipe("imagenet")


def test_every_preset_file_loads() -> None:
    assert configs_folder().is_dir()
    for name in preset_names():
        assert load_recipe(name).preset == name


def test_the_embedded_model_brings_its_own_preset() -> None:
    assert load_recipe(model="shapes").preset == "shapes"
    assert load_recipe(model="shapes", otherwise="refdavis").preset == "shapes"
    assert load_recipe("refcoco", model="shapes").preset == "refcoco"
    assert load_recipe(model="clip", otherwise="refdavis").preset == "refdavis"
    assert load_recipe().preset == "default"


def test_auto_stands_for_no_number_of_frames() -> None:
    assert load_recipe(batch="auto").batch is None
    assert load_recipe(batch="4").batch == load_recipe(batch=4).batch == 4


def test_a_recipe_with_other_options_keeps_the_rest() -> None:
    recipe = load_recipe("refdavis", theta=0.4)
    other = with_options(recipe, lam=0.25, sam="sam-vit-b", sam_points="guided", eta=None)
    assert (other.preset, other.theta, other.lam, other.sam) == ("refdavis", 0.4, 0.25, "sam-vit-b")
    assert other.sam_options.points == "guided"
    assert other.prompts == recipe.prompts
    with pytest.raises(UsageError, match="theta"):
        with_options(recipe, theta=3)
