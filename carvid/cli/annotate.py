"""`carvid annotate` and `carvid status`: label a dataset of videos, and see how far it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carvid.cli import options
from carvid.cli.exits import INTERRUPTED, PART_FAILED
from carvid.cli.help import OUTPUT, SOURCE
from carvid.cli.recipe_options import takes_recipe
from carvid.recipe import Recipe
from carvid.recipe.recipe import MACHINE

if TYPE_CHECKING:
    from carvid.store.status import Status


@takes_recipe(without=("batch",))
def annotate(
    videos: Annotated[
        str,
        typer.Argument(
            help="A folder (searched with all below it), a quoted glob pattern, or a .csv or .jsonl manifest."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="The dataset's folder; an existing dataset is continued.",
            rich_help_panel=OUTPUT,
        ),
    ],
    recipe: Recipe,
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query", "-q", help="A referring expression; repeat it for several.", rich_help_panel=SOURCE
        ),
    ] = None,
    queries_file: Annotated[
        Path | None,
        typer.Option(
            "--queries-file", help="A file with one referring expression a line.", rich_help_panel=SOURCE
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", help="Processes that label, each with the model loaded.", rich_help_panel=MACHINE
        ),
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            help="Workers on the Ray cluster at this address; local starts one here. Needs carvid[ray].",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    stall_seconds: Annotated[
        float,
        typer.Option(
            "--stall-seconds",
            help="End a worker that is silent for so long; its video has then failed.",
            rich_help_panel=MACHINE,
        ),
    ] = 300.0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Label failed videos again.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Throw away labels made with other settings, queries or files.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    reader: options.Reader = "pyav",
    every: options.Every = 1,
    strict: options.Strict = False,
    as_json: options.Json = False,
) -> int:
    """Label every video of a dataset by referring expressions, into one SQLite database.

    Run it again to go on: after a crash, with new videos, or beside another that runs.
    """
    from carvid.annotate.annotate import annotate as annotate_dataset
    from carvid.annotate.label import StreamOptions
    from carvid.annotate.supervise import WorkOptions
    from carvid.cli.dataset_progress import DatasetProgress

    with DatasetProgress() as progress:
        summary = annotate_dataset(
            videos,
            out,
            recipe,
            queries=query or (),
            queries_file=queries_file,
            stream=StreamOptions(reader=reader, every=every, strict=strict),
            work=WorkOptions(workers=workers, stall_seconds=stall_seconds),
            retry_failed=retry_failed,
            overwrite=overwrite,
            ray=ray,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(summary.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo("interrupted" if summary.interrupted else f"done in {summary.seconds:.1f} s")
        _show(summary.status)
        for path, reason in summary.closed:
            typer.echo(f"  not searched: {path}: {reason}")
        if summary.interrupted:
            typer.echo("run the same command again to go on")
    if summary.interrupted:
        return INTERRUPTED
    return 0 if summary.is_whole else PART_FAILED


def status(
    dataset: Annotated[Path, typer.Argument(help="The folder of a dataset.")],
    as_json: options.Json = False,
) -> int:
    """How far a dataset is: videos done, failed, in work and waiting, and why some failed."""
    from carvid.store.status import read_status

    found = read_status(dataset)
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        _show(found)
    return 0


def _show(found: Status) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    typer.echo(f"{sum(found.counts.values())} videos: {counts}; {found.frames} frames labelled")
    for path, frames in found.running:
        typer.echo(f"  in work: {path}: {frames} frames so far")
    for path, damage in found.damaged:
        typer.echo(f"  damaged: {path}: {damage}")
    for path, error in found.failed:
        typer.echo(f"  failed: {path}: {error}")
    sys.stdout.flush()
