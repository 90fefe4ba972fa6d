"""`carvid bench`: what a frame costs on this machine, stage by stage, compared with what the machine can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from carvid.cli import options
from carvid.cli.exits import PART_FAILED
from carvid.cli.recipe_options import takes_recipe
from carvid.errors import UsageError
from carvid.recipe import Recipe, recipe_from_json


# The random weights need no download, and have the architecture and the cost of real ones.
@takes_recipe(
    without=("batch", "size", "words", "keyframes", "causal", "instances", "flow_size"), model="random:clip"
)
def bench(
    recipe: Recipe,
    queries: Annotated[
        str | None,
        typer.Option(
            "--queries",
            help="Numbers of queries, such as 1,4. Default: 1,4,16,64 (3 against naive, 4 against pydensecrf).",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Scale frames to WIDTHxHEIGHT. A drawn clip is 854x480 by default."),
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", help="How many frames to measure, after one for warming up.")
    ] = 3,
    video: Annotated[
        Path | None,
        typer.Option("--video", help="Use the frames of this video or folder instead of a drawn clip."),
    ] = None,
    drop: Annotated[
        str,
        typer.Option(
            "--drop",
            help="none: theta 0, every query stays; one: theta such that the first step drops one query; "
            "preset: the preset's theta.",
        ),
    ] = "none",
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            help="naive: the straightforward method; pydensecrf: the CRF alone; full: frames seen whole; 480p: the "
            "models on small frames; exact: a run at --speed exact. Repeatable.",
        ),
    ] = None,
    working_size: Annotated[
        str | None,
        typer.Option(
            "--working-size", help="What --size is elsewhere: the proposer's working size, in px, or full."
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Time every stage separately, count the operations that each model stage must do, and measure the machine's rate.

    Prints Markdown. The exit code is 1 if --against naive finds different live sets or masks below IoU 0.99.
    """
    counts = _numbers("--queries", queries, ",") if queries is not None else _default_queries(against or [])
    width_height = _numbers("--size", size, "x") if size is not None else None
    if width_height is not None and len(width_height) != 2:
        raise UsageError(f"--size is {size!r}; expected WIDTHxHEIGHT, such as 854x480")
    if working_size is not None:
        recipe = recipe_from_json({**recipe.to_json(), "size": working_size})
    from carvid.bench.bench import BenchOptions, run_bench
    from carvid.bench.table import report_lines

    report = run_bench(
        BenchOptions(
            recipe=recipe,
            queries=counts,
            size=None if width_height is None else (width_height[0], width_height[1]),
            frames=frames,
            video=video,
            drop=drop,
            against=tuple(against or ()),
        ),
        say=lambda line: typer.echo(f"carvid: {line}", err=True),
    )
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        typer.echo("\n".join(report_lines(report)))
    return 0 if report.agrees else PART_FAILED


def _default_queries(against: list[str]) -> tuple[int, ...]:
    """A comparison takes a usual number of queries; the table alone shows how the cost grows with it."""
    if "naive" in against:
        return (3,)
    return (4,) if against else (1, 4, 16, 64)


def _numbers(option: str, text: str, separator: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(separator))
    except ValueError:
        raise UsageError(
            f"{option} is {text!r}; expected whole numbers with {separator!r} between them"
        ) from None
