"""Recipe: everything a model is loaded from, as frozen data that a process, a file or a record can hold."""

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

# Options of a part, such as `sam_options`, are named with its prefix elsewhere: `sam_points`.
PARTS = {"crf_options": CrfOptions, "sam_options": SamOptions}


def _carry(given: Any) -> CarryOptions:
    return made("carry", CarryOptions, given) if isinstance(given, Mapping) else CarryOptions(given)


def _weights_name(given: Any) -> Any:
    # A path object is a path and never a name, however it is spelled.
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
    """The method's settings, the weights by name, what refines the masks, and the machine.

    Made by `carvid.recipe.load_recipe`. A field that `decides` (`About`) may change a mask; of the weights it is their
    hashes that decide, which only a loaded model knows.
    """

    #: The preset that the settings come from.
    preset: str = option("default", decides=False)
    #: What segments; a name that `carvid.engines` knows.
    engine: str = option("car", group=MODELS, help="What segments: car, CLIP as RNN.")
    #: Both CLIPs, unless `proposer` or `classifier` names another.
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
        help="The CLIP of f, the mask proposal generator.",
    )
    classifier: str | None = option(
        None, decides=False, parse=_weights_name, group=MODELS, help="The CLIP of g, the mask classifier."
    )
    #: Cut queries that are longer than the CLIP's context instead of refusing them.
    truncate: bool = option(
        False, group=MODELS, help="Cut queries that are too long instead of refusing them."
    )
    crf_options: CrfOptions = CrfOptions()
    #: A SAM that refines the masks; None for none.
    sam: str | None = option(
        None,
        decides=False,
        parse=_weights_name,
        group=REFINEMENT,
        help="Refine the masks by Segment Anything: a name, a folder or a file.",
    )
    #: Decides where there is a SAM; a loaded model says so.
    sam_options: SamOptions = option(SamOptions(), decides=False)
    #: Start a frame with the queries present in the one before; None, as in the paper, with all.
    carry: CarryOptions | None = option(
        None,
        parse=_carry,
        group=REFINEMENT,
        help="Start a frame with the queries present in the last one; with all on every K-th and after a cut.",
    )
    device: str = option("auto", decides=False, group=MACHINE, help="auto, cpu, cuda, cuda:N or mps.")
    #: What the CLIPs compute in; what it comes to on the device is part of a record, and decides.
    dtype: str = option("auto", decides=False, group=MACHINE, help="auto, float32, bfloat16 or float16.")
    #: Frames that go through the models together; None for as many as a GPU's memory holds, elsewhere 1.
    batch: int | None = option(
        None,
        low=1,
        decides=False,
        parse=_batch,
        group=MACHINE,
        help="Frames that go through the models together: a number, or auto for what a GPU's memory holds.",
    )
    offline: bool = option(False, decides=False, group=MACHINE, help="Use cached weights only.")
    allow_pickle: bool = option(
        False,
        decides=False,
        group=MACHINE,
        help="Read .bin and .pt weights too (tensors only, never code).",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self)
        if self.carry is not None and self.batch not in (None, 1):
            raise UsageError(
                "carry and batch exclude each other: a frame starts from what the one before left"
            )

    def describe(self) -> dict[str, Any]:
        """What a record says of it, as plain data: `settings` (the method's), and every other field that decides."""
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
        """All of it, for `carvid.recipe.recipe_from_json` in another process."""
        return asdict(self)
