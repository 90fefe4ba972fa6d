"""A field of the recipe is an option of every command that makes masks, and is written once."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.main import get_command
from typer.testing import CliRunner

from carvid.cli import app
from carvid.cli.help import CALLERS, HEADINGS, GroupedCommand
from carvid.cli.recipe_options import takes_recipe
from carvid.errors import UsageError
from carvid.recipe import Recipe, load_recipe, preset_names, recipe_from_json
from carvid.recipe import recipe as recipe_module
from carvid.recipe.option import Size


def shown(command: str) -> str:
    # One space for every run of space and every break of a line; none where a name is broken after its hyphen.
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    return " ".join(re.sub(r"(?<=\w-)\n +", "", text).split())


@pytest.mark.parametrize("command", ["run", "annotate", "refdavis", "bench"])
def test_every_command_has_every_option(command: str) -> None:
    text = shown(command)
    for flag in ("--theta", "--lambda", "--sam", "--sam-points", "--truncate", "--device", "--engine"):
        assert f"{flag} " in text
    assert ", ".join(preset_names()) in text


@pytest.mark.parametrize("command", ["run", "annotate", "refdavis", "bench"])
def test_help_names_every_option(command: str) -> None:
    text = shown(command)
    options = [one for one in get_command(app).commands[command].params if one.param_type_name == "option"]
    assert len(options) > 20
    assert not [one.name for one in options if one.opts[0] not in text]


def test_options_stand_under_headings_in_the_order_of_the_work() -> None:
    lines = CliRunner().invoke(app, ["run", "--help"]).output.splitlines()
    found = [line.rstrip(":") for line in lines if line and not line.startswith((" ", "Usage"))]
    # A run listens to nobody.
    assert found == ["Arguments", *(each for each in HEADINGS if each != CALLERS)]


def called(arguments: list[str], **options: object) -> tuple[Result, list[Recipe]]:
    seen: list[Recipe] = []
    small = typer.Typer()

    @small.command(cls=GroupedCommand)
    @takes_recipe(**options)
    def command(source: str, recipe: Recipe, name: str = "x") -> None:
        seen.append(recipe)

    return CliRunner().invoke(small, arguments), seen


def test_what_is_given_reaches_the_recipe() -> None:
    words = ["a.mp4", "--preset", "voc", "--theta", "0.2", "--no-crf", "--prompt", "gray", "--prompt", "blur"]
    words += ["--background", "none", "--keyframes", "3", "--sam-every", "4", "--batch", "auto", "--truncate"]
    done, (recipe,) = called(words)
    assert done.exit_code == 0
    assert (recipe.preset, recipe.theta, recipe.crf, recipe.prompts) == ("voc", 0.2, False, ("gray", "blur"))
    assert (recipe.background, recipe.negatives) == ((), ())
    assert (recipe.keyframes, recipe.sam_options.every, recipe.batch, recipe.truncate) == (3, 4, None, True)


def test_a_command_may_have_defaults_of_its_own_and_leave_options_out() -> None:
    _, (recipe,) = called(["a.mp4"], preset="refdavis", model="random:clip", without=("batch",))
    assert (recipe.preset, recipe.model) == ("refdavis", "random:clip")
    _, (recipe,) = called(["a.mp4", "--model", "shapes"], preset="refdavis", model="random:clip")
    assert (recipe.preset, recipe.model) == ("shapes", "shapes")
    done, seen = called(["a.mp4", "--batch", "2"], without=("batch",))
    assert (done.exit_code, seen) == (2, [])


@dataclass(frozen=True)
class Part:
    fast: bool = recipe_module.option(True, group="Method", help="Whether to hurry.")


@dataclass(frozen=True)
class Longer(Recipe):
    sharpness: float = recipe_module.option(0.5, low=0, high=1, group="Method", help="How sharp.")
    width: Size = recipe_module.option(480, low=16, group="Method", help="How wide.")  # noqa: RUF009
    part_options: Part = field(default_factory=Part)


@pytest.fixture
def _longer(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {**recipe_module.PARTS, "part_options": Part}
    for module in ("carvid.recipe.presets", "carvid.cli.recipe_options"):
        monkeypatch.setattr(f"{module}.Recipe", Longer)
        monkeypatch.setattr(f"{module}.PARTS", parts)


@pytest.mark.usefixtures("_longer")
def test_an_option_added_to_the_recipe_is_an_option_of_a_command() -> None:
    done, (recipe,) = called(["a.mp4", "--sharpness", "0.75", "--no-part-fast"])
    assert done.exit_code == 0
    assert recipe.sharpness == 0.75
    assert recipe.part_options == Part(fast=False)
    assert recipe.describe()["sharpness"] == 0.75


@pytest.mark.usefixtures("_longer")
def test_a_size_is_a_number_or_full(tmp_path: Path) -> None:
    for given, meant in (([], 480), (["--width", "320"], 320), (["--width", "full"], "full")):
        _, (recipe,) = called(["a.mp4", *given])
        assert recipe.width == recipe.describe()["width"] == meant
        assert recipe_from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    preset = tmp_path / "mine.yaml"
    for text, meant in (("width: full", "full"), ("width: 64", 64), ("width: '64'", 64)):
        preset.write_text(text)
        assert load_recipe(str(preset)).width == meant
    for wrong in ("15", "half", "-3", "4.5", "9" * 5000, 15, True, 4.5, ["full"]):
        with pytest.raises(UsageError, match="expected full or a whole number from 16"):
            load_recipe(width=wrong)


def test_shapes_alone_finds_the_things_it_knows(tmp_path: Path) -> None:
    from carvid.shapes.scenes import moving_clip
    from carvid.sinks import read_results
    from tests.media import write_folder

    scenes = list(moving_clip(3_000_001, 2))
    write_folder(tmp_path / "frames", [scene.image for scene in scenes])
    query = f"the {scenes[0].things[0].name}"
    words = ["run", str(tmp_path / "frames"), query, "--model", "shapes", "--device", "cpu", "--no-overlay"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert any(line["queries"][0]["present"] for line in read_results(tmp_path / "out" / "results.jsonl"))


def test_what_a_preset_or_a_speed_turns_on_can_be_turned_off() -> None:
    _, (recipe,) = called(
        ["a.mp4", "--speed", "live", "--no-causal", "--preset", "shapes", "--no-split", "--no-words"]
    )
    assert (recipe.causal, recipe.split_things, recipe.words) == (False, False, False)


def test_an_option_whose_flag_the_command_has_itself_goes_by_its_own_name() -> None:
    seen: list[tuple[str, Recipe]] = []
    small = typer.Typer()

    @small.command(cls=GroupedCommand)
    @takes_recipe()
    def command(source: str, recipe: Recipe, split: str = "val") -> None:
        seen.append((split, recipe))

    done = CliRunner().invoke(small, ["a.mp4", "--split", "test", "--split-things"])
    assert done.exit_code == 0, done.output
    assert [(split, recipe.split_things) for split, recipe in seen] == [("test", True)]
