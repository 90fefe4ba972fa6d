"""Presets: `configs/*.yaml`, each with only what differs from the defaults, or from the preset it is based on.

What stands under `released` holds only for `--variant released`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from carvid.clip.names import preset_of
from carvid.errors import UsageError, did_you_mean
from carvid.paths import is_file
from carvid.recipe.option import about, made, parsed
from carvid.recipe.recipe import PARTS, Recipe
from carvid.recipe.speed import SPEEDS, values_of
from carvid.recipe.variant import RELEASED, resolved


def configs_folder() -> Path:
    """The folder of the presets: inside an installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def preset_names() -> tuple[str, ...]:
    """The names of the presets that come with carvid."""
    return tuple(sorted(path.stem for path in configs_folder().glob("*.yaml")))


def load_recipe(preset: str | None = None, *, otherwise: str = "default", **overrides: Any) -> Recipe:
    """The recipe of a preset, with those overrides that are not None.

    preset: a name, or the path of a YAML file; None for the preset that belongs to the model in `overrides` or, if it
    has none, `otherwise`.
    overrides: fields of `Recipe`, and options of its parts with their prefix, such as `sam_points` and `crf_steps`.
    Lists are taken as tuples. Giving `background` also replaces the preset's `background_groups`.
    Raises UsageError for an unknown preset, a file that is not a preset, and values that cannot be used.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    chosen = preset or preset_of(given.get("model")) or otherwise
    if "background" in given:
        given.setdefault("background_groups", ())
    values = _read_preset(chosen, ())
    released = values.pop(RELEASED)
    variant = given.get("variant", values.get("variant", Recipe.variant))
    if variant == RELEASED:
        values.update(released)
    values = {**values, "preset": chosen, **given}
    switches = values.get("switches", ())
    if not _are_texts(switches):
        raise UsageError(f"preset {chosen}: switches is {switches!r}; expected a list of texts")
    values["switches"] = resolved(variant, switches)
    return _build({**values_of(values.get("speed", Recipe.speed)), **values}, f"preset {chosen}")


def at_speed(recipe: Recipe, speed: str) -> Recipe:
    """The recipe at another speed: what any speed sets is as that one has it; the weights stay, and all the rest.

    Raises UsageError for an unknown speed.
    """
    other = load_recipe("default", speed=speed)
    sets = {name: _value(other, name) for values in SPEEDS.values() for name in values if name != "model"}
    return _build({**recipe.to_json(), **sets, "speed": speed}, f"speed {speed}")


def _are_texts(given: Any) -> bool:
    return isinstance(given, list | tuple) and all(isinstance(each, str) for each in given)


def _value(recipe: Recipe, name: str) -> Any:
    """A field's value, named as in `load_recipe`."""
    if name in vars(recipe):
        return getattr(recipe, name)
    (part,) = (each for each in PARTS if name.startswith(each.removesuffix("options")))
    return getattr(getattr(recipe, part), name.removeprefix(part.removesuffix("options")))


def recipe_from_json(values: Mapping[str, Any]) -> Recipe:
    """The recipe that `Recipe.to_json` described. Raises UsageError for values that cannot be used."""
    return _build(values, "a recipe")


def recipe_of(description: Mapping[str, Any]) -> Recipe:
    """The recipe of a loaded model that `Model.describe` described; for the same weights, with their names alone.

    What is of the machine (device, dtype) is as a recipe has it by default. Raises UsageError for values that cannot be
    used.
    """
    known = {entry.name: about(entry) for entry in fields(Recipe)}
    # A description older than an option was written when that option had its former value.
    values = {name: one.formerly for name, one in known.items() if one.formerly is not None}
    told = {**description, **description.get("settings", {})}
    of_machine = {"device", "dtype"}
    values |= {name: told[name] for name in known if name in told and name not in of_machine}
    sam, models = description.get("sam"), description.get("models", {})
    values["sam"] = None if sam is None else sam["name"]
    values["sam_options"] = {} if sam is None else sam["options"]
    if values.get("model") is None:
        values |= {role: models[role]["name"] for role in ("proposer", "classifier") if role in models}
    return _build(values, "the dataset's settings")


def with_options(recipe: Recipe, **overrides: Any) -> Recipe:
    """The recipe with those overrides that are not None, named as in `load_recipe`, which says what it raises."""
    given = {name: value for name, value in overrides.items() if value is not None}
    return _build({**recipe.to_json(), **given}, "the options")


def _build(values: Mapping[str, Any], where: str) -> Recipe:
    """The recipe with these values, named as in `load_recipe`. `where` goes into the message of a UsageError."""
    values = dict(values)
    parts = {name: _part(name, kind, values) for name, kind in PARTS.items()}
    hints = get_type_hints(Recipe)
    known = {entry.name: about(entry) for entry in fields(Recipe)}
    if unknown := sorted(set(values) - set(known)):
        raise UsageError(
            f"{where}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        )
    own: dict[str, Any] = {
        name: None if value is None else parsed(name, value, hints[name], known[name])
        for name, value in values.items()
    }
    return replace(Recipe(), **own, **parts)


def _part(name: str, kind: Any, values: dict[str, Any]) -> Any:
    """A part such as `sam_options`, from its own mapping and the values with its prefix; removes both from `values`."""
    part = values.pop(name, None)
    prefix = name.removesuffix("options")
    own = {
        entry.name: values.pop(prefix + entry.name) for entry in fields(kind) if prefix + entry.name in values
    }
    whole = made(name, kind, {} if part is None else part)
    return made(name, kind, {**vars(whole), **own})


def _read_preset(preset: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The preset's values; under `RELEASED`, those that the released code has instead."""
    path = Path(preset) if preset.endswith((".yaml", ".yml")) else configs_folder() / f"{preset}.yaml"
    if preset in seen:
        raise UsageError(f"the presets {' -> '.join((*seen, preset))} are based on each other in a circle")
    if not is_file(path, UsageError) or (path.parent == configs_folder() and path.stem != Path(preset).stem):
        raise UsageError(
            f"no preset {preset!r}; expected one of {', '.join(preset_names())}, or the path of a .yaml file"
            f"{did_you_mean(preset, preset_names())}"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError, ValueError) as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(
            f"{path} holds a {type(values).__name__}; expected a mapping of option names to values"
        )
    if wrong := [name for name in values if not isinstance(name, str)]:
        raise UsageError(f"{path} names an option {wrong[0]!r}; expected a word")
    base, own = values.pop("base", None), values.pop(RELEASED, {})
    if not isinstance(own, dict):
        raise UsageError(
            f"{path}: {RELEASED} holds a {type(own).__name__}; expected a mapping of option names to values"
        )
    if base is None:
        return {**values, RELEASED: own}
    if not isinstance(base, str):
        raise UsageError(f"{path}: base is {base!r}; expected the name of a preset or a .yaml file")
    inherited = _read_preset(base, (*seen, preset))
    # What this preset gives for both variants comes before what its base gives for one.
    released = {name: value for name, value in inherited[RELEASED].items() if name not in values}
    return {**inherited, **values, RELEASED: {**released, **own}}
