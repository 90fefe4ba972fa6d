"""The method's settings: thresholds, texts, visual prompts. Their defaults are the preset `default`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carvid.errors import UsageError
from carvid.recipe.option import check_fields, option
from carvid.wording import SLOT, check_template, check_text, distinct, folded

MODES = ("refer", "semantic")
CAMS = ("clip-es", "gradcam")
PROMPTS = ("circle", "rectangle", "contour", "blur", "gray", "black")

# The heading of these options in `--help`.
METHOD = "Method"

# The background queries of CLIP-ES, as the paper takes them.
BACKGROUND_TEXTS = (
    "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway",
    "railroad", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley", "bridge",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What CLIP as RNN does with a frame, besides the weights and the queries.

    The defaults are those of RefCOCO in the paper, with `negatives` on and `keep_best` off, which are ours.
    """

    #: refer: each query meets only the background texts in f; semantic: all live queries share one softmax.
    mode: str = option(
        "refer",
        choices=MODES,
        group=METHOD,
        help="refer: queries do not compete in f; semantic: they share one softmax.",
    )
    #: Where a proposal is binarised before it is prompted, in [0, 1].
    eta: float = option(
        0.5,
        low=0,
        high=1,
        group=METHOD,
        help="Where a proposal is binarised before it is prompted, from 0 to 1.",
    )
    #: The score a query needs to stay, in [0, 1] (eq. 6).
    theta: float = option(
        0.3, low=0, high=1, group=METHOD, help="The score a query needs to stay, from 0 to 1."
    )
    #: Where a CAM is cut for the affinity's boxes, as a share of its maximum, in [0, 1].
    lam: float = option(
        0.5,
        low=0,
        high=1,
        group=METHOD,
        flag="--lambda",
        help="Where a CAM is cut for the affinity's boxes, as a share of its maximum.",
    )
    #: clip-es: Grad-CAM refined by the affinity; gradcam: as it is.
    cam: str = option(
        "clip-es", choices=CAMS, group=METHOD, help="clip-es (with the affinity step) or gradcam (without)."
    )
    #: Visual prompts drawn together on one image, out of PROMPTS.
    prompts: tuple[str, ...] = option(
        ("circle", "blur"),
        group=METHOD,
        flag="--prompt",
        help=f"A visual prompt; repeat it to draw several. {', '.join(PROMPTS)}.",
    )
    #: How f words a query and a background text.
    proposer_template: str = SLOT
    background_template: str = "a clean origami {}."
    #: How g words a query; several are averaged as in the paper.
    templates: tuple[str, ...] = option(
        (SLOT,), group=METHOD, help="How g words a query, with {} in its place; repeatable."
    )
    #: Texts that f weighs every query against.
    background: tuple[str, ...] = option(
        BACKGROUND_TEXTS,
        group=METHOD,
        help="A background text instead of the preset's; repeatable; the word none for no such text.",
    )
    #: Groups of names that are each other's background (Pascal Context: things and stuff); they replace
    #: `background` where given.
    background_groups: tuple[tuple[str, ...], ...] = ()
    #: Texts that join g's softmax as extra columns, so that a query can lose even alone. None: those of
    #: `background`.
    negatives: tuple[str, ...] | None = option(
        None,
        group=METHOD,
        help="A text that may win against a query in g; repeatable; the word none for no such text.",
    )
    #: Whether the best-scoring query keeps its mask where none passes theta, as in the paper.
    keep_best: bool = False
    #: Refine by the dense CRF; otherwise proposals are cut at eta.
    crf: bool = option(True, group="Refinement", help="Refine by the dense CRF, or cut the proposals at eta.")

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.prompts:
            raise UsageError(f"no visual prompt; expected at least one of {', '.join(PROMPTS)}")
        if unknown := [name for name in self.prompts if name not in PROMPTS]:
            raise UsageError(f"unknown visual prompt {unknown[0]!r}; expected some of {', '.join(PROMPTS)}")
        if not self.templates:
            raise UsageError(f"no template; expected at least one text with {SLOT} in it")
        for template in (*self.templates, self.proposer_template, self.background_template):
            check_template(template)
        lists = [("negative", self.negatives or ()), ("background", self.background)]
        for kind, texts in (*lists, *(("background", group) for group in self.background_groups)):
            for text in texts:
                check_text(text, f"the {kind} text")
                if not text.strip():
                    raise UsageError(f"a {kind} text is empty")

    def background_texts(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The background texts f uses with these queries, each once, without those that are a query.

        Texts are told apart as `carvid.wording.folded` has them.

        With groups, the groups that hold no query; all of them when every group holds one.
        """
        texts = self.background
        if self.background_groups:
            names = _names(queries)
            others = [group for group in self.background_groups if not names & _names(group)]
            texts = tuple(text for group in others or self.background_groups for text in group)
        return _without(texts, queries)

    def negative_texts(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The extra columns of g's softmax with these queries, each once, without those that are a query."""
        if self.negatives is None:
            return self.background_texts(queries)
        return _without(self.negatives, queries)


def _names(texts: Sequence[str]) -> set[str]:
    return {folded(text) for text in texts}


def _without(texts: Sequence[str], queries: Sequence[str]) -> tuple[str, ...]:
    names = _names(queries)
    return tuple(text for text in distinct(texts) if folded(text) not in names)
