"""Recipe: everything needed to load a model, as frozen data that can go to another process or into a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from carvid.errors import UsageError
from carvid.recipe.option import about, check_fields, made, option
from carvid.recipe.refinement import REFINEMENT, CarryOptions, CrfOptions, SamOptions
from carvid.recipe.settings import Settings

MODELS, MACHINE = "Models", "Machine"

# Elsewhere the options of a part carry its prefix: `points` of `sam_options` is `sam_points`.
PARTS = {"crf_options": CrfOptions, "sam_options": SamOptions}


def _carry(given: Any) -> CarryOptions:
    return made("carry", CarryOptions, given) if isinstance(given, Mapping) else CarryOptions(given)


def _weights_name(given: Any) -> Any:
    # A path object is always a path, even where its text is also a name.
    return str(Path(given).absolute()) if isinstance(given, os.PathLike) else given


def _batch(given: Any) -> int | None:
    if given == "auto":
        return None
    text = str(given)
    # Python makes no number of thousands of digits.
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UsageError(f"batch is {text!r}; expected auto or a whole number from 1")
    return int(text)


@dataclass(frozen=True)
class Recipe(Settings):
    """The method's settings, the weights by name, the refinement, and the machine.

    Made by `carvid.recipe.load_recipe`. Only fields whose `About.decides` is true may change a mask. The names of the
    weights do not: their hashes do, and only a loaded model knows those. Raises UsageError for values out of range.
    """

    #: The preset the settings come from.
    preset: str = option("default", decides=False)
    #: The engine, by its name in `carvid.engines.ENGINES`.
    engine: str = option("car", group=MODELS, help="The engine that segments: car (CLIP as RNN).")
    #: Both CLIPs, f's and g's, unless `proposer` or `classifier` names another.
    model: str = option(
        "clip",
        decides=False,
        parse=_weights_name,
        group=MODELS,
        help="Both CLIPs: a name (see `carvid models`), a Hugging Face repository, a folder or a file.",
    )
    proposer: str | None = option(
        None,
        decides=False,
        parse=_weights_name,
        group=MODELS,
        help="Another CLIP for the proposer f, which makes the soft masks; given as for --model.",
    )
    classifier: str | None = option(
        None,
        decides=False,
        parse=_weights_name,
        group=MODELS,
        help="Another CLIP for the classifier g, which scores the masks; given as for --model.",
    )
    #: Shorten queries that are longer than the CLIP's context instead of refusing them.
    truncate: bool = option(
        False, group=MODELS, help="Shorten queries that are too long for the CLIP instead of refusing them."
    )
    crf_options: CrfOptions = CrfOptions()
    #: The SAM that refines the masks; None for no SAM.
    sam: str | None = option(
        None,
        decides=False,
        parse=_weights_name,
        group=REFINEMENT,
        help="Refine the masks by Segment Anything: a name, a Hugging Face repository, a folder or a file.",
    )
    #: Decides the masks only where `sam` is given, so it is `Model.describe` that reports it.
    sam_options: SamOptions = option(SamOptions(), decides=False)
    #: Start a frame with the queries present in the one before; None to start with all, as in the paper.
    carry: CarryOptions | None = option(
        None,
        parse=_carry,
        given=int,
        group=REFINEMENT,
        help="K: start a frame with the queries present in the last one; with all every K frames and after a cut.",
    )
    device: str = option(
        "auto", decides=False, group=MACHINE, help="Where to compute: auto, cpu, cuda, cuda:N or mps."
    )
    #: Number type the models compute in. The type that `auto` gives on the device decides; `Model.describe` reports it.
    dtype: str = option(
        "auto",
        decides=False,
        group=MACHINE,
        help="Number type to compute in: auto, float32, bfloat16 or float16.",
    )
    #: Frames that go through the models together; None for as many as fit in a GPU's memory, or 1 on another device.
    batch: int | None = option(
        None,
        low=1,
        decides=False,
        parse=_batch,
        group=MACHINE,
        help="Frames to run together: a number from 1, or auto for as many as fit in GPU memory (1 on a CPU).",
    )
    offline: bool = option(
        False, decides=False, group=MACHINE, help="Use cached weights only; download nothing."
    )
    allow_pickle: bool = option(
        False,
        decides=False,
        group=MACHINE,
        help="Also read pickled weights (.bin, .pt, .pth): tensors only, never code.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self)
        if self.carry is not None and self.batch not in (None, 1):
            raise UsageError(
                "carry and batch exclude each other: with carry, a frame starts from the queries left by the one before"
            )

    def describe(self) -> dict[str, Any]:
        """For a record, as plain data: the method's `settings`, and every other field that decides the masks."""
        own = {entry.name for entry in fields(Settings)}
        values = asdict(self)
        settings = {name: value for name, value in values.items() if name in own}
        others = {
            entry.name: values[entry.name]
            for entry in fields(self)
            if entry.name not in own and about(entry).decides
        }
        return {"settings": {"preset": self.preset, "model": self.model, **settings}, **others}

    def to_json(self) -> dict[str, Any]:
        """All fields, in types JSON holds, for `carvid.recipe.recipe_from_json`."""
        return asdict(self)
