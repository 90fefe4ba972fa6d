"""`carvid run`: from a video and referring expressions to masks."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Annotated

import typer

from carvid.cli import options
from carvid.cli.exits import INTERRUPTED, PART_FAILED
from carvid.cli.help import OUTPUT
from carvid.cli.recipe_options import takes_recipe
from carvid.errors import UsageError
from carvid.paths import look, real
from carvid.recipe import Recipe
from carvid.recipe.settings import METHOD
from carvid.recipe.speed import in_options
from carvid.wording import checked_queries

if TYPE_CHECKING:
    from carvid.pipeline import RunSummary


# What file systems allow a name, in bytes.
_LONGEST_NAME = 255


@takes_recipe()
def run(
    source: Annotated[str, typer.Argument(help="A video file, or a folder of images.")],
    recipe: Recipe,
    queries: Annotated[
        list[str] | None,
        typer.Argument(help="Referring expressions, one argument each."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Output folder; carvid-<source> here if not given.", rich_help_panel=OUTPUT
        ),
    ] = None,
    separate: Annotated[
        bool,
        typer.Option("--separate", help="Write one mask per object and frame.", rich_help_panel=OUTPUT),
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Write overlay.mp4.", rich_help_panel=OUTPUT)
    ] = True,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say of each choice among things which word spoke for or against which.",
            rich_help_panel=METHOD,
        ),
    ] = False,
    reader: options.Reader = "pyav",
    start_frame: options.StartFrame = 0,
    stop_frame: options.StopFrame = None,
    every: options.Every = 1,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> int:
    """Segment every frame of a video by referring expressions.

    Writes masks (one palette PNG per frame), overlay.mp4, results.jsonl and run.json into the output folder.
    """
    from carvid.sinks.output import check_output
    from carvid.stream import open_frames

    folder = out if out is not None else default_folder(source)
    queries = queries or []
    _check_order(source, queries)
    checked_queries(queries)
    # What is cheap to check comes first: the source, the output folder and, in `load_engine`, whether the weights can
    # be found; only then is torch imported, which takes seconds.
    with open_frames(
        source,
        reader=reader,
        start_frame=start_frame,
        stop_frame=stop_frame,
        every=every,
        strict=strict,
    ) as frames:
        check_output(folder, frames.info.path, overwrite=overwrite)
        from carvid.cli.forecast import Forecast
        from carvid.cli.told_words import tell_words
        from carvid.engines import load_engine
        from carvid.pipeline import OutputOptions, run_job
        from carvid.video_session import open_session

        typer.echo(f"carvid: {in_options(recipe)}", err=True)
        tell_words(queries, recipe)
        told = Forecast(Path(source).name, recipe, min(frames.info.width, frames.info.height))
        tell = told.say if explain else None
        model = load_engine(recipe)
        with closing(open_session(model.session, queries, recipe, tell=tell)) as session:
            summary = run_job(
                frames,
                session,
                folder,
                output=OutputOptions(separate=separate, overlay=overlay, overwrite=overwrite),
                command=["carvid", *sys.argv[1:]],
                stream_options={"reader": reader, "strict": strict},
                progress=told,
            )
    _report(summary, as_json)
    if summary.interrupted:
        return INTERRUPTED
    return PART_FAILED if summary.damaged else 0


def _check_order(source: str, queries: Sequence[str]) -> None:
    """Raises UsageError without a query, and where a file stands in a query's place and a query in the video's."""
    if not queries:
        raise UsageError(
            f'no queries; say what to segment, in words: carvid run {shlex.quote(source)} "the red car"'
        )
    files = [query for query in queries if (found := _lies_at(query)) and S_ISREG(found.st_mode)]
    if files and _lies_at(source) is None:
        others = [source, *(query for query in queries if query != files[0])]
        told = " ".join(shlex.quote(word) for word in ("carvid", "run", files[0], *others))
        raise UsageError(
            f"there is no file or folder {source}, but the query {files[0]} is a file; the video comes first: {told}"
        )


def _lies_at(name: str) -> os.stat_result | None:
    try:
        return look(Path(name))
    except OSError:
        # That no file can be called so is nothing against a query.
        return None


def default_folder(source: str) -> Path:
    """The output folder of a source, named after what the user typed, and cut to what a name may be long."""
    path = Path(source)
    # "." and ".." name no folder by themselves.
    name = f"carvid-{(path if path.name not in ('', '..') else real(path)).stem}"
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[:-1]
    return Path(name)


def _report(summary: RunSummary, as_json: bool) -> None:
    for stretch in summary.damage:
        last = stretch["last_frame"]
        where = f"frame {stretch['first_frame']}"
        if last != stretch["first_frame"]:
            where = f"frames {stretch['first_frame']} to {'the end' if last is None else last}"
        typer.echo(f"carvid: damaged source, {where} missing: {stretch['reason']}", err=True)
    if as_json:
        typer.echo(json.dumps(summary.to_json(), ensure_ascii=False, indent=2))
        return
    state = "interrupted after" if summary.interrupted else "done:"
    rate = summary.frames / max(summary.seconds["total"], 1e-9)
    typer.echo(f"{state} {summary.frames} frames in {summary.seconds['total']:.1f} s ({rate:.2f} frames/s)")
    if motion := summary.totals.get("motion"):
        typer.echo(
            f"  run on {motion['keys']} of {motion['frames']} frames; their masks were carried to the others "
            "(--keyframes 1 runs every frame)"
        )
    for query, share in zip(summary.queries, summary.present_share, strict=True):
        typer.echo(f"  {query!r}: present in {share:.1%} of the frames")
    for kind, path in summary.outputs.items():
        typer.echo(f"  {kind}: {path}")
