"""`carvid annotate` and `carvid status`: label a dataset of videos, and see how far that has got."""

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
from carvid.errors import UsageError
from carvid.recipe import Recipe
from carvid.recipe.recipe import MACHINE
from carvid.recipe.speed import in_options

if TYPE_CHECKING:
    from carvid.store.status import Status


@takes_recipe(without=("batch",))
def annotate(
    videos: Annotated[
        str,
        typer.Argument(
            help="A folder (searched with everything below it), a quoted glob pattern, or a .csv or .jsonl manifest."
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
            "--queries-file", help="A file with one referring expression per line.", rich_help_panel=SOURCE
        ),
    ] = None,
    workers: options.Workers = 1,
    ray: options.Ray = None,
    piece: Annotated[
        int | None,
        typer.Option(
            "--piece",
            help="Cut long videos into pieces of so many labelled frames, which the workers share.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    stall_seconds: Annotated[
        float,
        typer.Option(
            "--stall-seconds",
            help="End a worker that has made no progress for this long; its video counts as failed.",
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
            help="Discard labels made with other settings, queries or files, and label those videos again.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    moved: Annotated[
        list[str] | None,
        typer.Option(
            "--moved",
            metavar="OLD=NEW",
            help="The videos that were in the folder OLD are now in NEW. Repeatable; rarely needed.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    reader: options.Reader = "pyav",
    every: options.Every = 1,
    strict: options.Strict = False,
    as_json: options.Json = False,
) -> int:
    """Label every video of a dataset by referring expressions, into one SQLite database.

    Run it again to continue after a crash or with new videos, or at the same time as another to share the work.
    """
    from carvid.annotate.annotate import annotate as annotate_dataset
    from carvid.annotate.label import StreamOptions
    from carvid.cli.dataset_progress import DatasetProgress
    from carvid.cli.told_words import tell_words
    from carvid.workers.supervise import WorkOptions

    typer.echo(f"carvid: {in_options(recipe)}", err=True)
    tell_words(query or (), recipe)
    with DatasetProgress() as progress:
        summary = annotate_dataset(
            videos,
            out,
            recipe,
            queries=query or (),
            queries_file=queries_file,
            stream=StreamOptions(reader=reader, every=every, strict=strict, piece=piece),
            work=WorkOptions(workers=workers, stall_seconds=stall_seconds),
            retry_failed=retry_failed,
            overwrite=overwrite,
            moved=[_move(text) for text in moved or ()],
            ray=ray,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(summary.to_json(), ensure_ascii=False, indent=2))
    else:
        typer.echo("interrupted" if summary.interrupted else f"done in {summary.seconds:.1f} s")
        if recipe.keyframes != 1:
            typer.echo(
                f"run on key frames ({recipe.keyframes or 'auto'}); their masks were carried to the others "
                "(--keyframes 1 runs every frame)"
            )
        if summary.moved:
            typer.echo(f"videos recognised at a new place: {summary.moved}")
        _show(summary.status)
        for path, reason in summary.closed:
            typer.echo(f"  not searched: {path}: {reason}")
        if summary.interrupted:
            typer.echo("run the same command again to continue")
    if summary.interrupted:
        return INTERRUPTED
    return 0 if summary.is_whole else PART_FAILED


def status(
    dataset: Annotated[Path, typer.Argument(help="The folder that `carvid annotate` writes.")],
    as_json: options.Json = False,
) -> int:
    """Show how far a dataset is labelled: videos done, failed, in progress and waiting, and why some failed."""
    from carvid.store.status import read_status

    found = read_status(dataset)
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2))
    else:
        _show(found)
    return 0


def _move(text: str) -> tuple[Path, Path]:
    old, _, new = text.partition("=")
    if not old or not new:
        raise UsageError(
            f"--moved is {text!r}; expected OLD=NEW, where the videos were and where they are now"
        )
    return Path(old), Path(new)


def _show(found: Status) -> None:
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    typer.echo(f"{sum(found.counts.values())} videos: {counts}; {found.frames} frames labelled")
    for path, frames in found.running:
        typer.echo(f"  in progress: {path}: {frames} frames so far")
    for path, damage in found.damaged:
        typer.echo(f"  damaged: {path}: {damage}")
    for path, error in found.failed:
        typer.echo(f"  failed: {path}: {error}")
    sys.stdout.flush()
