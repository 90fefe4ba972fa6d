"""`carvid models`: which weights there are, and how to fetch them ahead of time."""

from __future__ import annotations

from typing import Annotated

import typer

from carvid.cli.completion import among, weights
from carvid.cli.exits import exits

app = typer.Typer(help="List the models known by name, or fetch one ahead of time.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def _list(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        exits(show)()


def show() -> None:
    """Print the names and sizes, and what is cached."""
    from carvid.clip.names import NAMED_CLIPS
    from carvid.sam.names import NAMED_SAMS
    from carvid.weights.catalog import list_models
    from carvid.weights.hub import cache_folder

    for entry in list_models((*NAMED_CLIPS.values(), *NAMED_SAMS.values())):
        parameters = f"{entry.parameters / 1e6:.0f} M parameters, " if entry.parameters else ""
        size = f"{entry.size_mb:.0f} MB" if entry.size_mb >= 1 else "no download"
        state = "ready" if entry.cached else "not cached"
        typer.echo(f"{entry.name:16} {state:11} {parameters}{size}; {entry.note}")
    typer.echo(f"cache: {cache_folder()}")


def pull(
    name: Annotated[
        str,
        typer.Argument(
            help="A name, or a Hugging Face repository (org/name).", autocompletion=among(weights)
        ),
    ],
) -> None:
    """Fetch the weights of NAME into the cache."""
    from carvid.clip.names import NAMED_CLIPS
    from carvid.sam.names import NAMED_SAMS
    from carvid.weights import catalog
    from carvid.weights.names import Family

    # The name of a repository does not say what it holds; a vocabulary is fetched if it has one.
    either = Family(
        "a CLIP or a SAM", vocabulary=False, instead="name local weights (--model DIR, --sam DIR|FILE)"
    )

    folders = catalog.pull(name, NAMED_CLIPS | NAMED_SAMS, either)
    if not folders:
        typer.echo(f"{name} needs no download")
    for folder in folders:
        typer.echo(str(folder))


app.command("pull")(exits(pull))
