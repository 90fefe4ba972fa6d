"""The method's settings: thresholds, texts, visual prompts. The defaults are the preset `default`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carvid.errors import UsageError
from carvid.recipe.option import Size, check_fields, option
from carvid.recipe.variant import ORIGAMI, PAPER, resolved
from carvid.wording import SLOT, check_template, check_text, distinct, folded

MODES = ("refer", "semantic")
CAMS = ("clip-es", "gradcam")
PROMPTS = ("circle", "rectangle", "contour", "blur", "gray", "black")

# The heading of these options in `--help`.
METHOD = "Method"

# The background texts of CLIP-ES, which the paper uses too.
BACKGROUND_TEXTS = (
    "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway",
    "railroad", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley", "bridge",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The settings of CLIP as RNN, apart from the weights and the queries. Raises UsageError for values out of range.

    The defaults are the paper's for RefCOCO, except that `negatives` is on and `keep_best` off, which is ours.
    """

    #: What competes in f's softmax: refer, each query with the background texts alone; semantic, all live queries too.
    mode: str = option(
        "refer",
        choices=MODES,
        group=METHOD,
        help="What a query competes with in the proposer: refer, background texts alone; semantic, other queries too.",
    )
    #: Threshold that turns a proposal into the binary mask to prompt, in [0, 1].
    eta: float = option(
        0.5,
        low=0,
        high=1,
        group=METHOD,
        help="Threshold that turns a proposal (a soft mask) into the mask to prompt, from 0 to 1.",
    )
    #: Lowest score at which a query is kept, in [0, 1] (eq. 6).
    theta: float = option(
        0.3, low=0, high=1, group=METHOD, help="Lowest score at which a query is kept, from 0 to 1."
    )
    #: Threshold on a CAM for the affinity step's boxes, as a share of the CAM's maximum, in [0, 1].
    lam: float = option(
        0.5,
        low=0,
        high=1,
        group=METHOD,
        flag="--lambda",
        help="Threshold on a CAM for the affinity step's boxes, as a share of the CAM's maximum, from 0 to 1.",
    )
    #: The shorter side, in px, to which f's frames are shrunk; `full` for whole frames, as in the paper. g's prompts
    #: are drawn on the whole frame.
    size: Size = option(
        400,
        low=32,
        formerly="full",
        group=METHOD,
        help="S: the proposer looks at frames shrunk to S px on their shorter side; full: at whole frames.",
    )
    #: clip-es: Grad-CAM refined by the affinity step; gradcam: Grad-CAM alone.
    cam: str = option(
        "clip-es",
        choices=CAMS,
        group=METHOD,
        help="clip-es: Grad-CAM refined by the affinity step; gradcam: Grad-CAM alone.",
    )
    #: Visual prompts to draw, all on the same image; names in PROMPTS.
    prompts: tuple[str, ...] = option(
        ("circle", "blur"),
        group=METHOD,
        flag="--prompt",
        help=f"Visual prompt: {', '.join(PROMPTS)}; repeat to draw several on one image.",
    )
    #: Wording of a query and of a background text for f, with {} in place of the text.
    proposer_template: str = SLOT
    background_template: str = ORIGAMI
    #: Wordings of a query for g; several are combined as in the paper.
    templates: tuple[str, ...] = option(
        (SLOT,),
        group=METHOD,
        help="Wording of a query for the classifier, with {} in its place; repeat for several.",
    )
    #: Texts that compete with every query in f.
    background: tuple[str, ...] = option(
        BACKGROUND_TEXTS,
        group=METHOD,
        help="Text that competes with the queries in the proposer; repeat for several, or give none for no text.",
    )
    #: Groups of names that serve as each other's background (Pascal Context: things and stuff). If given, they
    #: replace `background`.
    background_groups: tuple[tuple[str, ...], ...] = ()
    #: Texts that join g's softmax as extra columns, so that even a lone query can lose. None for the background
    #: texts.
    negatives: tuple[str, ...] | None = option(
        None,
        group=METHOD,
        help="Text that competes with the queries in the classifier; repeat for several, or give none for no text.",
    )
    #: Take a proposal that covers several things apart, and keep the pieces that g prefers for its query.
    split_things: bool = option(
        False,
        group=METHOD,
        flag="--split",
        help="Take a proposal that covers several things apart, prompt each piece, and keep those that the classifier "
        "prefers for the query.",
    )
    #: Whether the best-scoring query keeps its mask when none reaches theta, as in the paper.
    keep_best: bool = False
    #: What is done as the authors' released code does it, not as the paper says: names in
    #: `carvid.recipe.variant.SWITCHES`, in their order.
    switches: tuple[str, ...] = option(
        (),
        group=METHOD,
        flag="--switch",
        help="One difference of the released code to turn on, or off as no-NAME; repeat for several "
        "(docs/variants.md).",
    )
    #: Refine the proposals by the dense CRF; otherwise cut them at eta.
    crf: bool = option(
        True, group="Refinement", help="Refine the proposals by the dense CRF, or cut them at eta instead."
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.prompts:
            raise UsageError(f"no visual prompt; expected at least one of {', '.join(PROMPTS)}")
        if unknown := [name for name in self.prompts if name not in PROMPTS]:
            raise UsageError(f"unknown visual prompt {unknown[0]!r}; expected some of {', '.join(PROMPTS)}")
        if not self.templates:
            raise UsageError(f"no template; expected at least one text with {SLOT} in it")
        if self.switches != (known := resolved(PAPER, self.switches)):
            raise UsageError(
                f"switches is {self.switches}; expected {known}: each once, in the order of the method"
            )
        for template in (*self.templates, self.proposer_template, self.background_template):
            check_template(template)
        lists = [("negative", self.negatives or ()), ("background", self.background)]
        for kind, texts in (*lists, *(("background", group) for group in self.background_groups)):
            for text in texts:
                check_text(text, f"the {kind} text")
                if not text.strip():
                    raise UsageError(f"a {kind} text is empty")

    @property
    def proposer_wordings(self) -> tuple[str, ...]:
        """The wording of a query for f in the first step, the second, and so on; the last is that of all later ones."""
        return (SLOT, ORIGAMI) if "origami-later" in self.switches else (self.proposer_template,)

    @property
    def classifier_wordings(self) -> tuple[str, ...]:
        """The wordings of a query for g."""
        if "origami-classifier" in self.switches and self._without_templates:
            return (ORIGAMI,)
        return self.templates

    @property
    def reads_characters(self) -> bool:
        """Whether g reads single characters of the queries from the second step on."""
        return "character-texts" in self.switches and self._without_templates

    @property
    def _without_templates(self) -> bool:
        return self.templates == (SLOT,)

    def background_texts(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The background texts that f uses with these queries, each once, without those that are a query.

        Two texts are the same if `carvid.wording.folded` makes them equal.

        With the switch `background-repeats-queries`: with those that are a query as well.
        With `background_groups`: the texts of the groups without a query, or of all groups when each has one.
        """
        texts = self.background
        if self.background_groups:
            names = _names(queries)
            others = [group for group in self.background_groups if not names & _names(group)]
            texts = tuple(text for group in others or self.background_groups for text in group)
        return _without(texts, () if "background-repeats-queries" in self.switches else queries)

    def negative_texts(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The extra texts in g's softmax with these queries, each once, without those that are a query."""
        if self.negatives is None:
            return self.background_texts(queries)
        return _without(self.negatives, queries)


def _names(texts: Sequence[str]) -> set[str]:
    return {folded(text) for text in texts}


def _without(texts: Sequence[str], queries: Sequence[str]) -> tuple[str, ...]:
    names = _names(queries)
    return tuple(text for text in distinct(texts) if folded(text) not in names)
