"""What can be set: the method's options, and the presets in `configs/*.yaml` that set them by name.

Every default is written once, in `Settings`; it is the preset `default`. A preset file holds only what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from carvid.errors import UsageError
from carvid.wording import SLOT, check_template

MODES = ("refer", "semantic")
CAMS = ("clip-es", "gradcam")
PROMPTS = ("circle", "rectangle", "contour", "blur", "gray", "black")

# The background queries of CLIP-ES, as the paper takes them.
BACKGROUND_TEXTS = (
    "ground", "land", "grass", "tree", "building", "wall", "sky", "lake", "water", "river", "sea", "railway",
    "railroad", "helmet", "cloud", "house", "mountain", "ocean", "road", "rock", "street", "valley", "bridge",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """All that decides the masks besides the weights, the queries and the frames.

    The defaults are those of RefCOCO in the paper, with `negatives` on and `keep_best` off, which are ours.
    """

    preset: str = "default"
    #: The models a run takes when none are named.
    model: str = "clip"
    #: refer: each query meets only the background texts in f; semantic: all live queries share one softmax.
    mode: str = "refer"
    #: Where a proposal is binarised before it is prompted, in (0, 1).
    eta: float = 0.5
    #: The score a query needs to stay, in [0, 1] (eq. 6).
    theta: float = 0.3
    #: Where a CAM is cut for the affinity's boxes, as a share of its maximum, in [0, 1).
    lam: float = 0.5
    #: clip-es: Grad-CAM refined by the affinity; gradcam: as it is.
    cam: str = "clip-es"
    #: Visual prompts drawn together on one image, out of PROMPTS.
    prompts: tuple[str, ...] = ("circle", "blur")
    #: How f words a query and a background text.
    proposer_template: str = SLOT
    background_template: str = "a clean origami {}."
    #: How g words a query; several are averaged as in the paper.
    templates: tuple[str, ...] = (SLOT,)
    #: Texts that f weighs every query against.
    background: tuple[str, ...] = BACKGROUND_TEXTS
    #: Groups of names that are each other's background (Pascal Context: things and stuff); they replace
    #: `background` where given.
    background_groups: tuple[tuple[str, ...], ...] = ()
    #: Texts that join g's softmax as extra columns, so that a query can lose even alone. None: those of
    #: `background`.
    negatives: tuple[str, ...] | None = None
    #: Whether the best-scoring query keeps its mask where none passes theta, as in the paper.
    keep_best: bool = False
    #: Refine by the dense CRF; otherwise proposals are cut at eta.
    crf: bool = True

    def __post_init__(self) -> None:
        for name, value, choices in (("mode", self.mode, MODES), ("cam", self.cam, CAMS)):
            if value not in choices:
                raise UsageError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
        for name, low, high in (("eta", 0.0, 1.0), ("theta", 0.0, 1.0), ("lam", 0.0, 1.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise UsageError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")
        if not self.prompts:
            raise UsageError(f"no visual prompt; expected at least one of {', '.join(PROMPTS)}")
        if unknown := [name for name in self.prompts if name not in PROMPTS]:
            raise UsageError(f"unknown visual prompt {unknown[0]!r}; expected some of {', '.join(PROMPTS)}")
        if not self.templates:
            raise UsageError(f"no template; expected at least one text with {SLOT} in it")
        for template in (*self.templates, self.proposer_template, self.background_template):
            check_template(template)
        if self.negatives is not None and any(not text.strip() for text in self.negatives):
            raise UsageError("a negative text is empty")
        if any(not text.strip() for text in self.background):
            raise UsageError("a background text is empty")

    def background_texts(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The background texts f uses with these queries; a text equal to a query is left out.

        With groups, the groups that hold no query; all of them when every group holds one.
        """
        texts = self.background
        if self.background_groups:
            names = _names(queries)
            others = [group for group in self.background_groups if not names & _names(group)]
            texts = tuple(text for group in others or self.background_groups for text in group)
        return _without(texts, queries)

    def negative_texts(self, queries: Sequence[str]) -> tuple[str, ...]:
        """The extra columns of g's softmax with these queries; a text equal to a query is left out."""
        if self.negatives is None:
            return self.background_texts(queries)
        return _without(self.negatives, queries)


def _names(texts: Sequence[str]) -> set[str]:
    return {text.strip().casefold() for text in texts}


def _without(texts: Sequence[str], queries: Sequence[str]) -> tuple[str, ...]:
    names = _names(queries)
    return tuple(text for text in dict.fromkeys(texts) if text.strip().casefold() not in names)


def configs_folder() -> Path:
    """Where the presets lie: inside an installed package, or beside it in a checkout."""
    inside = Path(__file__).resolve().parent / "configs"
    return inside if inside.is_dir() else inside.parents[1] / "configs"


def preset_names() -> tuple[str, ...]:
    """The names `load_settings` knows."""
    return tuple(sorted(path.stem for path in configs_folder().glob("*.yaml")))


def load_settings(preset: str = "default", **overrides: Any) -> Settings:
    """The settings of a preset, by name or as the path of a YAML file, with overrides that are not None.

    Raises UsageError for a preset that is not there, a file that is no preset, and values out of range.
    """
    values = _read_preset(preset, ())
    given = {name: value for name, value in overrides.items() if value is not None}
    return _build({**values, "preset": preset, **given}, preset)


def _read_preset(preset: str, seen: tuple[str, ...]) -> dict[str, Any]:
    path = Path(preset) if preset.endswith((".yaml", ".yml")) else configs_folder() / f"{preset}.yaml"
    if preset in seen:
        raise UsageError(f"the presets {' -> '.join((*seen, preset))} are based on each other in a circle")
    if not path.is_file() or (path.parent == configs_folder() and path.stem != Path(preset).stem):
        raise UsageError(
            f"no preset {preset!r}; expected one of {', '.join(preset_names())}, or a .yaml file"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} holds a {type(values).__name__}; expected names with values")
    base = values.pop("base", None)
    inherited = _read_preset(str(base), (*seen, preset)) if base is not None else {}
    return {**inherited, **values}


def _build(values: dict[str, Any], where: str) -> Settings:
    known = {entry.name for entry in fields(Settings)}
    if unknown := sorted(set(values) - known):
        raise UsageError(
            f"preset {where}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        )
    return replace(Settings(), **{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
