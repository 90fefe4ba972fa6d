"""Recipe: everything needed to load a model, as frozen data that can go to another process or into a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from carvid.errors import UsageError
from carvid.recipe.option import Size, about, check_fields, option
from carvid.recipe.refinement import REFINEMENT, CrfOptions, SamOptions
from carvid.recipe.settings import METHOD, Settings
from carvid.recipe.speed import SPEEDS
from carvid.recipe.variant import PAPER, VARIANTS

SPEED, MODELS, MOTION, MACHINE = "Speed", "Models", "Motion", "Machine"

# Elsewhere the options of a part carry its prefix: `points` of `sam_options` is `sam_points`.
PARTS = {"crf_options": CrfOptions, "sam_options": SamOptions}


def _weights_name(given: Any) -> Any:
    # A path object is always a path, even where its text is also a name.
    return str(Path(given).absolute()) if isinstance(given, os.PathLike) else given


def _auto_or_number(name: str) -> Callable[[Any], int | None]:
    """Reads `auto`, which is None, or a whole number from 1."""

    def read(given: Any) -> int | None:
        if given == "auto":
            return None
        text = str(given)
        # Python makes no number of thousands of digits.
        if not text.isdecimal() or len(text) > 9 or int(text) < 1:
            raise UsageError(f"{name} is {text!r}; expected auto or a whole number from 1")
        return int(text)

    return read


#: Reads the distance of key frames: `auto`, which is None, or a number.
key_distance = _auto_or_number("keyframes")


@dataclass(frozen=True)
class Recipe(Settings):
    """The method's settings, the weights by name, the refinement, and the machine.

    Made by `carvid.recipe.load_recipe`. Only fields whose `About.decides` is true may change a mask. The names of the
    weights do not: their hashes do, and only a loaded model knows those. Raises UsageError for values out of range.
    """

    #: The preset the settings come from.
    preset: str = option("default", decides=False)
    #: What `switches` come from, and whether the preset's values for the released code hold: a name in
    #: `carvid.recipe.variant.VARIANTS`.
    variant: str = option(
        PAPER,
        choices=VARIANTS,
        decides=False,
        group=METHOD,
        help="paper: as the paper says; released: as its authors' code does, defects included (docs/variants.md).",
    )
    #: What the values that neither the preset nor the caller gives come from: a name in `carvid.recipe.speed.SPEEDS`.
    speed: str = option(
        "balanced",
        choices=tuple(SPEEDS),
        decides=False,
        group=SPEED,
        help="exact: as in the paper; balanced: smaller frames and key frames; live: as fast as it comes. Every value "
        "it sets can be given as well.",
    )
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
    #: The shorter side, in px, to which frames are shrunk for the CRF, whose marginals are then enlarged along the
    #: frame's edges; frames that are at most a third larger stay whole. `full` for whole frames, as in the paper.
    crf_size: Size = option(
        360,
        low=32,
        formerly="full",
        group=REFINEMENT,
        help="Run the CRF on frames shrunk to so many px on their shorter side, unless they are at most a third "
        "larger; full: on whole frames.",
    )
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
    #: Read the queries for words that CLIP cannot read, and choose by them among the things that are found.
    words: bool = option(
        True,
        formerly=False,
        group=METHOD,
        help="Read place, order, size, motion and the like in a query, and choose by them; else leave all words to "
        "CLIP (docs/words.md).",
    )
    #: Run the engine on key frames alone: one every so many frames; None for as far apart as their masks can be
    #: carried. 1 runs it on every frame, as in the paper.
    keyframes: int | None = option(
        None,
        low=1,
        parse=key_distance,
        formerly=1,
        group=MOTION,
        help="K: run the models on every K-th frame and carry the masks to those between; auto: where it is needed.",
    )
    #: Carry masks from the past alone, so that a frame waits for no later one.
    causal: bool = option(
        False, group=MOTION, help="Carry masks from the past alone; each result comes with its frame."
    )
    #: Split each query's mask into things, each with an id that it keeps through the video.
    instances: bool = option(
        False, group=MOTION, help="Split each query's mask into things, each with an id it keeps."
    )
    #: The shorter side, in px, to which frames are shrunk for the search of the flow; `full` for whole frames.
    flow_size: Size = option(
        480,
        low=32,
        formerly="full",
        group=MOTION,
        help="Search the optical flow on frames shrunk to so many px on their shorter side; full: on whole frames.",
    )
    device: str = option(
        "auto", decides=False, group=MACHINE, help="Where to compute: auto, cpu, cuda, cuda:N or mps."
    )
    #: Number type the models compute in. The type that `auto` gives on the device decides; `Model.describe` reports it.
    dtype: str = option(
        "auto",
        decides=False,
        group=MACHINE,
        help="Number type to compute in: auto, float32, bfloat16, float16, or int8, which rounds both CLIPs' linear "
        "layers, on a CPU alone; its effect on real weights is yet to be checked.",
    )
    #: Frames that go through the models together; None for as many as fit in a GPU's memory, or 1 on another device.
    batch: int | None = option(
        None,
        low=1,
        decides=False,
        parse=_auto_or_number("batch"),
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

    @property
    def caution(self) -> str | None:
        """What the user should check before trusting the masks; None where there is nothing."""
        if self.dtype != "int8":
            return None
        return (
            "--dtype int8 rounds weights and activations; measured with the small embedded model and with random "
            "weights alone, so compare some masks with those of --dtype float32"
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
        origins = {
            "preset": self.preset,
            "variant": self.variant,
            "speed": self.speed,
            "model": self.model,
        }
        return {"settings": {**origins, **settings}, **others}

    def to_json(self) -> dict[str, Any]:
        """All fields, in types JSON holds, for `carvid.recipe.recipe_from_json`."""
        return asdict(self)
