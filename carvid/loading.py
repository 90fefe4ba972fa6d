"""From a recipe to the model of CLIP as RNN: locates all weights first, and only then imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carvid.clip.names import resolve_pair
from carvid.errors import UsageError
from carvid.recipe import Recipe
from carvid.sam.names import resolve_sam
from carvid.weights.locate import locate_all

if TYPE_CHECKING:
    from carvid.model import Model

ENGINE = "car"
"""The engine whose model this is."""


def load_model(recipe: Recipe) -> Model:
    """Load both CLIPs and, where the recipe names one, the SAM.

    Raises UsageError for a recipe of another engine, an unknown model, or a device or dtype that cannot be used, and
    WeightsError for weights that cannot be found or loaded.
    """
    if recipe.engine != ENGINE:
        raise UsageError(
            f"engine is {recipe.engine!r}; expected {ENGINE}, as this runs CLIP as RNN alone; `carvid run` and "
            "`carvid annotate` run any engine (in Python, `carvid.engines.load_engine`)"
        )
    pair = resolve_pair(recipe.model, recipe.proposer, recipe.classifier)
    sam_spec = None if recipe.sam is None else resolve_sam(recipe.sam)
    located = locate_all(*pair, sam_spec, offline=recipe.offline, allow_pickle=recipe.allow_pickle)
    # Imported here: torch takes seconds, and missing weights should be reported sooner.
    from carvid.clip.load import load_pair
    from carvid.model import Model
    from carvid.sam.load import load_sam
    from carvid.weights.device import INT8, resolve_device, resolve_dtype

    device = resolve_device(recipe.device)
    dtype = resolve_dtype(recipe.dtype, device)
    sam = None if located.sam is None else load_sam(located.sam, device=device, dtype=dtype)
    clips = load_pair(
        located.proposer, located.classifier, device=device, dtype=dtype, int8=recipe.dtype == INT8
    )
    return Model(recipe, *clips, sam)
