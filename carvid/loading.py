"""From a recipe to the model of CLIP as RNN: weights are located first, once, and only then is torch imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carvid.clip.names import resolve_pair
from carvid.recipe import Recipe
from carvid.sam.names import resolve_sam
from carvid.weights.locate import LocatedWeights, locate_all

if TYPE_CHECKING:
    from carvid.model import Model


def load(recipe: Recipe) -> Model:
    """Raises UsageError for names and the device, WeightsError for weights."""
    located = locate_weights(recipe)
    # Imported here: torch takes seconds, and weights that cannot be had must be reported sooner.
    from carvid.model import Model

    return Model.load(recipe, located)


def locate_weights(recipe: Recipe) -> LocatedWeights:
    """Find the recipe's weights on this machine, or fetch them. Raises UsageError for names, WeightsError."""
    pair = resolve_pair(recipe.model, recipe.proposer, recipe.classifier)
    sam = None if recipe.sam is None else resolve_sam(recipe.sam)
    return locate_all(*pair, sam, offline=recipe.offline, allow_pickle=recipe.allow_pickle)
