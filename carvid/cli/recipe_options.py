"""The fields of a recipe as options of a command. Each is written once, in the recipe, with its help and heading."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from carvid.cli.completion import of_field
from carvid.recipe import Recipe, load_recipe, preset_names, with_options
from carvid.recipe.option import About, Size, about, bare
from carvid.recipe.recipe import MODELS, PARTS

# The word that stands for an empty list of texts.
NONE = "none"


def takes_recipe(
    *,
    preset: str | Callable[[Mapping[str, Any]], str] = "default",
    base: Callable[[Mapping[str, Any]], Recipe | None] = lambda given: None,
    without: tuple[str, ...] = (),
    **defaults: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a command's parameter `recipe` with an option for each field of `Recipe` that has a help text.

    preset: used if neither the user nor the model names one, or what finds it from the command's other parameters, by
    name. base: finds, likewise, the recipe that the options change where neither a preset nor a model is given; None if
    there is none. without: fields that are not options of this command;
    they keep their defaults. defaults: values of fields for which the user gives none.
    """

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(command, eval_str=True)
        told = preset if isinstance(preset, str) else "that of the published figure"
        taken = {_flag(name) for name in own.parameters}
        options = {name: one for name, one in _options(told, taken).items() if name not in without}

        @functools.wraps(command)
        def wrapped(**given: Any) -> Any:
            chosen = {name: _given(given.pop(name)) for name in options}
            for name, value in defaults.items():
                chosen[name] = value if chosen.get(name) is None else chosen[name]
            own = None if chosen.get("preset") or chosen.get("model") else base(given)
            if own is None:
                otherwise = preset if isinstance(preset, str) else preset(given)
                recipe = load_recipe(otherwise=otherwise, **chosen)
            else:
                recipe = with_options(own, **chosen)
            if recipe.caution is not None:
                typer.echo(f"carvid: {recipe.caution}", err=True)
            return command(recipe=recipe, **given)

        kept = [one for name, one in own.parameters.items() if name != "recipe"]
        ordered = sorted(
            [*kept, *options.values()], key=lambda one: one.default is not inspect.Parameter.empty
        )
        by_keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in ordered]
        signature = own.replace(parameters=by_keyword)
        wrapped.__signature__ = signature  # type: ignore[attr-defined]
        wrapped.__annotations__ = {one.name: one.annotation for one in by_keyword}
        del wrapped.__wrapped__
        return wrapped

    return wrap


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _options(preset: str, taken: Collection[str]) -> dict[str, inspect.Parameter]:
    """Keyword parameters for typer, by the names that `load_recipe` gives the fields.

    taken: flags of the command itself; where a field would have one of these, it has its own name instead.
    """
    found = {
        "preset": _parameter(
            "preset",
            str,
            None,
            About(
                group=MODELS,
                help=f"The settings to start from: {', '.join(preset_names())}, or a .yaml file. "
                f"Default: the model's own, or else {preset}.",
            ),
        )
    }
    for prefix, kind in (
        ("", Recipe),
        *((name.removesuffix("options"), kind) for name, kind in PARTS.items()),
    ):
        hints = get_type_hints(kind)
        for entry in fields(kind):
            if about(entry).help:
                name = prefix + entry.name
                known = about(entry)
                if known.flag in taken:
                    known = replace(known, flag="")
                found[name] = _parameter(name, hints[entry.name], entry.default, known)
    return found


def _parameter(name: str, hint: Any, default: Any, known: About) -> inspect.Parameter:
    kind, flag = bare(hint), known.flag or _flag(name)
    if get_origin(kind) is tuple:
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
    elif kind == Size:
        kind = str
    elif known.parse is not None:
        kind = known.given
    # What no preset or speed turns on needs no way to turn it off.
    if kind is bool and (default or known.decides):
        flag += f"/--no-{flag.removeprefix('--')}"
    option = typer.Option(
        flag, help=known.help, rich_help_panel=known.group, autocompletion=of_field(name, known)
    )
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _given(value: Any) -> Any:
    """The value of an option. The single word `none` means no text; an empty list, that none was given."""
    if isinstance(value, list):
        return [] if value == [NONE] else value or None
    return value
