"""`carvid benchmark`, `score`, `images`, `ablate`: run a benchmark, score predictions, run pictures, run ablations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carvid.cli import options
from carvid.cli.completion import among, benchmarks
from carvid.cli.help import OUTPUT, SOURCE
from carvid.cli.recipe_options import takes_recipe
from carvid.cli.samples import run_samples
from carvid.errors import UsageError
from carvid.evaluate.benchmarks import BENCHMARKS, benchmark
from carvid.recipe import Recipe
from carvid.recipe.speed import in_options

if TYPE_CHECKING:
    from carvid.evaluate.contract import Benchmark, Choice, DataSet

Name = Annotated[
    str,
    typer.Argument(help=f"The benchmark: {', '.join(BENCHMARKS)}.", autocompletion=among(benchmarks)),
]
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
    data = chosen.read(root, _choice(chosen, split, names, first, only, recipe))
    from carvid.evaluate.contract import Served
    from carvid.media.locks import FolderLock

    typer.echo(f"carvid: {in_options(recipe)}", err=True)
    with FolderLock(out):
        code = run_samples(
            chosen,
            _part(data, names),
            data.samples,
            "samples",
            recipe,
            out,
            workers=workers,
            ray=ray,
            overwrite=overwrite,
        )
        if code:
            return code
        if isinstance(data, Served):
            path = out / f"{name}-{data.split}.zip"
            data.write_zip(out, path)
            typer.echo(f"carvid: {path} is what the benchmark's server takes", err=True)
            if data.truth is None:
                return 0
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
    from carvid.cli.told_words import tell_words
    from carvid.evaluate.image_folder import PICTURES, read_pictures, write_results
    from carvid.media.locks import FolderLock

    samples = read_pictures(folder, queries)
    tell_words(queries, recipe)
    with FolderLock(out):
        code = run_samples(
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
        write_results(out, samples)
        return code


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
    chosen = benchmark(name)
    data = chosen.read(root, _choice(chosen, split, names, first, only))
    return _score(data, predictions, missing)


@takes_recipe(preset=_preset, without=("causal", "instances"), speed="exact")
def ablate(
    name: Name,
    root: Root,
    out: options.Out,
    recipe: Recipe,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows",
            help="Only some, by commas: recurrence, cam, crf, prompts, background, eta, theta, lambda, clips, and "
            "variant: each switch of the released code turned. Default: all but variant.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    clips: Annotated[
        str | None,
        typer.Option(
            "--clips",
            help="CLIPs, separated by commas: each is tried as the proposer with each as the classifier.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
    split: Split = None,
    names: Names = "paper",
    first: First = 100,
    only: Only = None,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot", help="Draw the table as ablation.png too. Needs carvid[plot].", rich_help_panel=OUTPUT
        ),
    ] = False,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    overwrite: Overwrite = False,
) -> int:
    """Run the paper's ablations on a benchmark, with what the rows have in common computed once.

    Writes ablation.md and ablation.csv. Run it again to continue where it stopped.
    """
    from carvid.evaluate.ablation import Ablation, plotter, rows_of, together
    from carvid.media.locks import FolderLock

    if plot:
        plotter()
    table = rows_of(recipe, _listed(rows), _listed(clips) or ())
    of = benchmark(name)
    data = of.read(root, _choice(of, split, names, first, only, recipe))
    typer.echo(f"carvid: {in_options(recipe)}; {len(table)} rows, {len(data.samples)} samples", err=True)
    with FolderLock(out):
        figures = {}
        for alike in together(table):
            one = alike[0]
            title = "rows" if one.proposer is None else f"{one.proposer}+{one.classifier}".replace("/", "-")
            # What any row may need of a frame is computed for all, so that rows can be added later.
            changes: dict[str, Any] = {"cam": "clip-es", "crf": True}
            if one.proposer is not None:
                changes |= {"proposer": one.proposer, "classifier": one.classifier}
            own = {"cam": recipe.cam, "crf": recipe.crf}
            code = run_samples(
                of,
                _part(data, names),
                data.samples,
                "samples",
                replace(recipe, **changes),
                out / title,
                workers=workers,
                ray=ray,
                overwrite=overwrite,
                rows={row.folder: {**own, **row.changes} for row in alike},
            )
            if code:
                return code
            for row in alike:
                figures[row.folder] = data.score(out / title / row.folder, "refuse").overall
        found = Ablation(name, data.split, len(data.samples), [(row, figures[row.folder]) for row in table])
        found.write(out, plot=plot)
    typer.echo(found.to_markdown())
    return 0


def _listed(given: str | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(part.strip() for part in given.split(",") if part.strip())


def _choice(
    of: Benchmark,
    split: str | None,
    names: str,
    first: int | None,
    only: str | None,
    recipe: Recipe | None = None,
) -> Choice:
    from carvid.evaluate.contract import Choice

    if names not in of.names:
        raise UsageError(f"--names is {names!r}; expected {' or '.join(of.names)} with {of.name}")
    two_passes = recipe is not None and "two-passes" in recipe.switches
    return Choice(split, names, first, _listed(only), two_passes)


def _part(data: DataSet, names: str) -> str:
    """What of the data set a run is, for `run_benchmark`."""
    return data.split if names == "paper" else f"{data.split}, {names} names"


def _score(data: DataSet, predictions: Path, missing: Any) -> int:
    figures = data.score(predictions, missing)
    figures.write(predictions)
    typer.echo(figures.to_markdown())
    return 0
