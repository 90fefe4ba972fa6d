"""The ablations of the CaR paper as rows of settings, and the table they come to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path
from typing import Any

from carvid.errors import UsageError
from carvid.evaluate.figures import Figure, in_words
from carvid.media.whole_file import write_whole
from carvid.recipe import Recipe
from carvid.recipe.settings import CAMS, PROMPTS
from carvid.recipe.variant import BENCHMARK, PAPER, SWITCHES, VARIANTS, resolved

WHOLE, VARIANT = "whole", "variant"

# The background texts by what they name; our reading of the paper's groups.
BACKGROUND = {
    "terrestrial": ("ground", "land", "grass", "tree", "mountain", "rock", "valley"),
    "aquatic-atmospheric": ("sky", "lake", "water", "river", "sea", "cloud", "ocean"),
    "man-made": (
        "building", "wall", "railway", "railroad", "helmet", "house", "road", "street", "bridge",
    ),
}  # fmt: skip

_SWEEPS = {
    "eta": (0.3, 0.4, 0.5, 0.6, 0.7),
    "theta": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    "lambda": (0.3, 0.4, 0.5, 0.6, 0.7),
}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    group: which of the paper's questions it belongs to. name: tells it from the group's other rows.
    changes: the settings that are other than the recipe's. proposer, classifier: f's and g's CLIP where these are not
    the recipe's.
    """

    group: str
    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    proposer: str | None = None
    classifier: str | None = None

    @property
    def folder(self) -> str:
        """The name of the folder of its predictions."""
        return f"{self.group}-{self.name}".replace("+", "-").replace("/", "-").replace(" ", "-")


def rows_of(
    recipe: Recipe, groups: Sequence[str] | None = None, clips: Sequence[str] = ()
) -> tuple[Row, ...]:
    """The rows of the groups asked for; None for all. The recipe itself comes first, as the group `whole`.

    recurrence: without it, which is theta 0, as then no query is dropped. cam: Grad-CAM alone and CLIP-ES. crf: without
    the CRF. prompts: each alone, and in pairs of an outline and a region. background: each group of the recipe's texts,
    none, and none for g either. eta, theta, lambda: sweeps, lambda's with the affinity step. clips: each pair of f and
    g among `clips`. variant, only where asked for: each switch of the recipe turned, then all off and all on.
    Raises UsageError for an unknown group.
    """
    made: dict[str, list[Row]] = {
        "recurrence": [Row("recurrence", "without", {"theta": 0.0})],
        "cam": [Row("cam", cam, {"cam": cam}) for cam in CAMS],
        "crf": [Row("crf", "without", {"crf": False})],
        "prompts": [Row("prompts", "+".join(names), {"prompts": names}) for names in _prompts()],
        "background": _background(recipe),
        **{
            name: [Row(name, f"{value:g}", {name: value}) for value in _SWEEPS[name]]
            for name in ("eta", "theta")
        },
        # Without the affinity step there are no boxes that lambda could cut.
        "lambda": [
            Row("lambda", f"{value:g}", {"lam": value, "cam": "clip-es"}) for value in _SWEEPS["lambda"]
        ],
        "clips": [Row("clips", f"{f}+{g}", {}, f, g) for f, g in product(clips, clips)],
        VARIANT: _variant(recipe),
    }
    asked = [name for name in made if name != VARIANT] if groups is None else list(dict.fromkeys(groups))
    if unknown := [name for name in asked if name not in made]:
        raise UsageError(f"no rows {unknown[0]!r}; expected some of {', '.join(made)}")
    if groups is not None and "clips" in asked and not clips:
        raise UsageError("the rows clips need --clips, the CLIPs to pair")
    if not recipe.crf and groups is None:
        asked.remove("crf")
    return (Row(WHOLE, "the recipe"), *(row for name in asked for row in made[name]))


def _prompts() -> list[tuple[str, ...]]:
    outlines, regions = PROMPTS[:3], PROMPTS[3:]
    alone: list[tuple[str, ...]] = [(name,) for name in PROMPTS]
    return [
        *alone,
        *product(outlines[:1], regions),
        *combinations(regions[:2], 2),
        (outlines[0], *regions[:2]),
    ]


def _background(recipe: Recipe) -> list[Row]:
    def changed(texts: tuple[str, ...]) -> dict[str, Any]:
        return {"background": texts, "background_groups": ()}

    # A recipe leaves out those that are things in its images.
    groups = {
        name: tuple(text for text in texts if text in recipe.background) for name, texts in BACKGROUND.items()
    }
    return [
        Row("background", "none", changed(())),
        *(Row("background", name, changed(texts)) for name, texts in groups.items()),
        Row("background", "all", changed(recipe.background)),
        Row("background", "none in f and g", {**changed(()), "negatives": ()}),
    ]


def _variant(recipe: Recipe) -> list[Row]:
    on = recipe.switches
    names = [name for name, switch in SWITCHES.items() if switch.stage != BENCHMARK]
    turned = [f"no-{name}" if name in on else name for name in names]
    rows = [Row(VARIANT, turn, {"switches": resolved(PAPER, (*on, turn))}) for turn in turned]
    return [*rows, *(Row(VARIANT, variant, {"switches": resolved(variant)}) for variant in VARIANTS)]


def together(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows by the CLIPs they run on, each of which is loaded once."""
    found: dict[tuple[str | None, str | None], list[Row]] = {}
    for row in rows:
        found.setdefault((row.proposer, row.classifier), []).append(row)
    return list(found.values())


@dataclass(frozen=True)
class Ablation:
    """The figures of each row, over the same samples. benchmark, split, samples: of what."""

    benchmark: str
    split: str
    samples: int
    rows: Sequence[tuple[Row, Mapping[str, Figure]]]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(column for _, figures in self.rows for column in figures))

    def to_markdown(self) -> str:
        """A table with a row per row; what a row loses or gains against the whole is told for the first figure."""
        first = self.columns[0]
        whole = self.rows[0][1].get(first)
        lines = [
            f"{self.benchmark}, {self.split}: {self.samples} samples.",
            "",
            "| " + " | ".join(("what", "row", *self.columns, f"{first} against the whole")) + " |",
            "|" + "---|" * (3 + len(self.columns)),
        ]
        for row, figures in self.rows:
            value = figures.get(first)
            against = "-" if value is None or whole is None else f"{value - whole:+.4f}"
            cells = [in_words(figures.get(column)) for column in self.columns]
            lines.append("| " + " | ".join((row.group, row.name, *cells, against)) + " |")
        turned = {row.name.removeprefix("no-") for row, _ in self.rows if row.group == VARIANT}
        told = [name for name in SWITCHES if name in turned]
        if told:
            lines += ["", "The released code's switches, which `no-` turns off:", ""]
            lines += [f"- `{name}` ({SWITCHES[name].stage}): {SWITCHES[name].does}" for name in told]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["what", "row", *self.columns])
        for row, figures in self.rows:
            cells = ("" if (value := figures.get(column)) is None else value for column in self.columns)
            writer.writerow([row.group, row.name, *cells])
        return text.getvalue()

    def write(self, folder: Path, *, plot: bool = False) -> None:
        """Write ablation.md, ablation.csv and, with `plot`, ablation.png. Raises OutputError, UsageError where
        matplotlib is not there."""
        write_whole(folder / "ablation.md", self.to_markdown().encode())
        write_whole(folder / "ablation.csv", self.to_csv().encode())
        if plot:
            write_whole(folder / "ablation.png", self._plot())

    def _plot(self) -> bytes:
        figure_of = plotter()
        first = self.columns[0]
        whole = self.rows[0][1].get(first)
        groups = list(dict.fromkeys(row.group for row, _ in self.rows[1:]))
        figure, axes = figure_of(
            1, max(1, len(groups)), figsize=(2.6 * max(1, len(groups)), 3), sharey=True, squeeze=False
        )
        for axis, group in zip(axes[0], groups, strict=False):
            of_group = [(row, figures.get(first)) for row, figures in self.rows if row.group == group]
            shown = [(row.name, value) for row, value in of_group if value is not None]
            if group in ("eta", "theta", "lambda"):
                axis.plot([float(name) for name, _ in shown], [value for _, value in shown], marker="o")
            else:
                axis.bar([name for name, _ in shown], [value for _, value in shown])
                axis.tick_params(axis="x", rotation=90, labelsize=7)
            if whole is not None:
                axis.axhline(whole, linestyle=":", color="gray")
            axis.set_title(group)
        axes[0][0].set_ylabel(first)
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})
        return data.getvalue()


def plotter() -> Any:
    """matplotlib's `subplots`, which draws without a screen. Raises UsageError where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise UsageError(
            "--plot needs matplotlib, which is not installed: pip install 'carvid[plot]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots
