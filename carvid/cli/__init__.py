"""The command line: parse, call, report. The only place where an error becomes a message and an exit code.

Exit codes: 0 done, 1 part failed, 2 usage or configuration, 3 input or weights, 4 output, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from carvid import __version__
from carvid.cli import (
    annotate,
    bench,
    demo,
    doctor,
    export,
    models,
    refdavis,
    review,
    run,
    serve,
    tables,
    verify,
)
from carvid.cli.download_progress import DownloadProgress
from carvid.cli.exits import exits, tell
from carvid.cli.help import GroupedCommand
from carvid.cli.standard_streams import settle_streams
from carvid.errors import OutputError
from carvid.weights import downloads

app = typer.Typer(
    help="Video referring segmentation with CLIP as RNN: a phrase in, a mask for every frame out.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("run", cls=GroupedCommand)(exits(run.run))
app.command("demo", cls=GroupedCommand)(exits(demo.demo))
app.command("annotate", cls=GroupedCommand)(exits(annotate.annotate))
app.command("status", cls=GroupedCommand)(exits(annotate.status))
app.command("export", cls=GroupedCommand)(exits(export.export))
app.command("review", cls=GroupedCommand)(exits(review.review))
app.command("verify", cls=GroupedCommand)(exits(verify.verify))
app.command("serve", cls=GroupedCommand)(exits(serve.serve))
app.command("refdavis", cls=GroupedCommand)(exits(refdavis.refdavis))
app.command("eval", cls=GroupedCommand)(exits(refdavis.evaluate))
app.command("benchmark", cls=GroupedCommand)(exits(tables.run_and_score))
app.command("score", cls=GroupedCommand)(exits(tables.score))
app.command("ablate", cls=GroupedCommand)(exits(tables.ablate))
app.command("images", cls=GroupedCommand)(exits(tables.images))
app.command("bench", cls=GroupedCommand)(exits(bench.bench))
app.command("doctor", cls=GroupedCommand)(exits(doctor.doctor))
app.add_typer(models.app, name="models")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"carvid {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Video referring segmentation with CLIP as RNN: a phrase in, a mask for every frame out."""


# How often a thread of GNU OpenMP looks for the others before it goes to sleep; by default, 300 times as often.
_SPINS = "1000"


def _wait_asleep() -> None:
    """Let torch's threads sleep while they wait, unless the user has chosen otherwise.

    Threads that spin keep the processor from the very thread they wait for as soon as another process needs one
    too: a frame then took 50 times as long. The variable is read when torch is loaded, which is later.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def main() -> None:
    """The console command `carvid`."""
    settle_streams()
    _wait_asleep()
    downloads.watch(DownloadProgress())
    try:
        app(prog_name="carvid")
    except OutputError as error:
        # From standard output before any command has begun, as with --help and --version.
        sys.exit(tell(error))
