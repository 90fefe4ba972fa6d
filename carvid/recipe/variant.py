"""Where the authors' released code differs from the paper, as switches; docs/variants.md tells each one's source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from carvid.errors import UsageError
from carvid.wording import SLOT

PAPER, RELEASED = "paper", "released"
#: paper: as the paper's text has it. released: as its authors' code does.
VARIANTS = (PAPER, RELEASED)

# Before a switch's name it turns that switch off.
_OFF = "no-"

#: The wording of CLIP-ES, which the released code reads where the paper has the plain query.
ORIGAMI = f"a clean origami {SLOT}."


@dataclass(frozen=True)
class Switch:
    """One difference.

    stage: the part of the method it belongs to. does: what the released code does there.
    defect: whether it contradicts what the code itself is for.
    of_frame: whether it changes what is computed of a frame before a query is known.
    """

    stage: str
    does: str
    defect: bool = False
    of_frame: bool = False


F, V, G, LOOP, CRF, MASKS = "f", "v", "g", "recurrence", "CRF", "masks"
#: The stage of what a benchmark asks, which no row of an ablation can turn.
BENCHMARK = "benchmark"

#: Every switch by its name, in the order of the method.
SWITCHES = MappingProxyType(
    {
        "origami-later": Switch(
            F, f'The first step reads the plain query, every later one "{ORIGAMI}", in both modes.'
        ),
        "background-repeats-queries": Switch(
            F, "A background text stays even where a query is the same.", defect=True
        ),
        "float16-positions": Switch(
            F,
            "Position embeddings are rounded to float16 after they are interpolated; g's as well.",
            of_frame=True,
        ),
        "zero-cam-stays": Switch(
            F, "A CAM that is all zero stays so where one text is left to differentiate.", defect=True
        ),
        "boxes-8-bits": Switch(F, "A CAM is cut down to 8 bits before its boxes are found."),
        "boxes-border": Switch(
            F, "The boxes leave out the last row and the last column of patches.", defect=True
        ),
        "blank-unprompted": Switch(
            V, "A proposal that sums to 1 or less leaves the picture without a prompt."
        ),
        "drawing-order": Switch(
            V,
            "Prompts are drawn as blur, gray, black, circle, rectangle, contour, in whatever order they are given.",
        ),
        "gray-swapped": Switch(V, "Gray weighs red as blue, and blue as red.", defect=True),
        "circle-cut-centre": Switch(
            V, "A circle's centre is cut down to whole px, and its half axes may be 0."
        ),
        "rectangle-on-centroid": Switch(
            V, "A rectangle is as large as the mask's box, but lies around the mask's centroid.", defect=True
        ),
        "contour-filled": Switch(V, "A contour goes around the mask with its holes filled."),
        "origami-classifier": Switch(G, f'Without templates g reads "{ORIGAMI}".'),
        "character-texts": Switch(
            G,
            "Without templates g reads, from the second step on, single characters of the queries instead of them: the "
            "list of kept places is applied to each text instead of to the list of texts.",
            defect=True,
        ),
        "skip-last-block": Switch(G, "g's last block never runs.", defect=True),
        "best-goes-on": Switch(
            LOOP,
            "A score has to be above theta; where none is, the best query goes on alone, and then scores 1.",
        ),
        "stop-by-count": Switch(
            LOOP,
            "It stops once as many queries are kept with a score above 0 as in the step before, for which the first "
            "step takes 0: so at least two steps are run.",
        ),
        "zero-proposals-repeat": Switch(
            LOOP,
            "Where all proposals of a step are zero, those of the step before are taken, in order, whosever they are.",
            defect=True,
        ),
        "duplicates-compete": Switch(
            LOOP,
            "Queries that read the same compete with each other, and the last one's mask goes to the first one's "
            "place.",
            defect=True,
        ),
        "crf-wrapped-picture": Switch(
            CRF,
            "The CRF sees the picture less the mean colour, blue first, cut towards 0 and modulo 256, so that edges "
            "appear where a colour is near the mean.",
            defect=True,
            of_frame=True,
        ),
        "empty-masks-shift": Switch(
            MASKS,
            "In refer mode an empty mask is left out, and each later mask goes to the query before its own; queries "
            "that are left without one are dropped.",
            defect=True,
        ),
        "painted-by-score": Switch(
            MASKS, "Where masks overlap, the label map has the query with the higher score."
        ),
        "two-passes": Switch(
            BENCHMARK,
            "Pascal Context's things and its stuff are asked one after the other: things against the background texts, "
            "stuff against the things; stuff is painted first.",
        ),
    }
)


def resolved(variant: Any, given: Sequence[str] = ()) -> tuple[str, ...]:
    """The switches that are on, in the order of `SWITCHES`.

    variant: a name in `VARIANTS`: `paper` starts with none, `released` with all. given: names of switches to turn on
    or, after `no-`, off. Raises UsageError for an unknown variant or switch.
    """
    if variant not in VARIANTS:
        raise UsageError(f"variant is {variant!r}; expected one of {', '.join(VARIANTS)}")
    on = dict.fromkeys(SWITCHES, variant == RELEASED)
    for name in given:
        switch = name.removeprefix(_OFF)
        if switch not in on:
            raise UsageError(
                f"unknown switch {name!r}; expected some of {', '.join(SWITCHES)}, each with {_OFF} before it to turn "
                "it off"
            )
        on[switch] = switch == name
    return tuple(name for name, is_on in on.items() if is_on)
