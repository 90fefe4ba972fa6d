"""Everything that decides the masks, as frozen data: settings, refinement, weights by name; and presets of it."""

from carvid.recipe.presets import (
    at_speed,
    load_recipe,
    preset_names,
    recipe_from_json,
    recipe_of,
    with_options,
)
from carvid.recipe.recipe import Recipe

__all__ = [
    "Recipe",
    "at_speed",
    "load_recipe",
    "preset_names",
    "recipe_from_json",
    "recipe_of",
    "with_options",
]
