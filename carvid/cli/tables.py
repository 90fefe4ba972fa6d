"""`carvid benchmark`, `carvid score`, `carvid images`: run a benchmark, score anybody's predictions, run pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carvid.cli import options
from carvid.cli.help import OUTPUT, SOURCE
from carvid.cli.recipe_options import takes_recipe
from carvid.cli.samples import run_samples
from carvid.errors import UsageError
from carvid.evaluate.benchmarks import BENCHMARKS, benchmark
from carvid.recipe import Recipe
from carvid.recipe.speed import in_options

if TYPE_CHECKING:
    from carvid.evaluate.contract import Choice, DataSet

Name = Annotated[str, typer.Argument(help=f"The benchmark: {', '.join(BENCHMARKS)}.")]
Root = Annotated[Path, typer.Argument(help="The data set, in the layout it is published in.")]
Split = Annotated[
    str | None,
    typer.Option(
        "--split", help="The split; by default the one that is published on.", rich_help_panel=SOURCE
    ),
]
Names = Annotated[
    str,
    typer.Option(
        "--names",
        help="Class names as queries: paper, or released, as the paper's code has them.",
        rich_help_panel=SOURCE,
    ),
]
First = Annotated[
    int | None,
    typer.Option("--first", min=1, help="Only so many samples, from the first.", rich_help_panel=SOURCE),
]
Only = Annotated[
    str | None,
    typer.Option("--only", help="Only these samples, separated by commas.", rich_help_panel=SOURCE),
]
Missing = Annotated[
    str, typer.Option("--missing", help="Predictions that are not there: refuse, or empty to score as empty.")
]

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Remove what a run with another split, queries, weights or settings wrote there.",
        rich_help_panel=OUTPUT,
    ),
]


def _preset(given: Mapping[str, Any]) -> str:
    return benchmark(given["name"]).preset


@takes_recipe(preset=_preset, without=("causal", "instances"), speed="exact")
def run_and_score(
    name: Name,
    root: Root,
    out: options.Out,
    recipe: Recipe,
    split: Split = None,
    names: Names = "paper",
    first: First = None,
    only: Only = None,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    overwrite: Overwrite = False,
) -> int:
    """Segment a benchmark's samples, then score them. Run it again to continue where it stopped."""
    chosen = benchmark(name)
    # The data set and the output folder are checked before any weights are loaded.
    data = chosen.read(root, _choice(split, names, first, only))
    from carvid.media.locks import FolderLock

    typer.echo(f"carvid: {in_options(recipe)}", err=True)
    with FolderLock(out):
        run_samples(
            chosen,
            data.split,
            data.samples,
            "samples",
            recipe,
            out,
            workers=workers,
            ray=ray,
            overwrite=overwrite,
        )
        return _score(data, out, "refuse")


@takes_recipe(without=("keyframes", "causal", "instances", "flow_size"))
def images(
    folder: Annotated[Path, typer.Argument(help="A folder of images, searched with everything below it.")],
    queries: Annotated[list[str], typer.Argument(help="Referring expressions, one argument each.")],
    out: options.Out,
    recipe: Recipe,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    overwrite: Overwrite = False,
) -> int:
    """Segment pictures of any sizes, each by itself. Run it again to continue where it stopped.

    Writes masks (one palette PNG per image) and results.jsonl into the output folder.
    """
    from carvid.evaluate.image_folder import PICTURES, read_pictures, write_results
    from carvid.media.locks import FolderLock

    samples = read_pictures(folder, queries)
    with FolderLock(out):
        try:
            run_samples(
                PICTURES,
                json.dumps(queries),
                samples,
                "images",
                recipe,
                out,
                workers=workers,
                ray=ray,
                overwrite=overwrite,
            )
        finally:
            write_results(out, samples)
        return 0


def score(
    name: Name,
    root: Root,
    predictions: Annotated[
        Path, typer.Argument(help="The predictions, laid out as `carvid benchmark` writes them.")
    ],
    split: Split = None,
    names: Names = "paper",
    first: First = None,
    only: Only = None,
    missing: Missing = "refuse",
) -> int:
    """Score predictions for a benchmark, whoever made them."""
    if missing not in ("refuse", "empty"):
        raise UsageError(f"--missing is {missing!r}; expected refuse or empty")
    data = benchmark(name).read(root, _choice(split, names, first, only))
    return _score(data, predictions, missing)


def _choice(split: str | None, names: str, first: int | None, only: str | None) -> Choice:
    from carvid.evaluate.contract import Choice

    if names not in ("paper", "released"):
        raise UsageError(f"--names is {names!r}; expected paper or released")
    listed = None if only is None else tuple(part.strip() for part in only.split(",") if part.strip())
    return Choice(split, names, first, listed)


def _score(data: DataSet, predictions: Path, missing: Any) -> int:
    figures = data.score(predictions, missing)
    figures.write(predictions)
    typer.echo(figures.to_markdown())
    return 0
