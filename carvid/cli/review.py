"""`carvid review`: which frames of a labelled dataset deserve a look."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carvid.cli import options


def review(
    dataset: Annotated[Path, typer.Argument(help="The folder that `carvid annotate` wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The CSV file; by default review.csv in DATASET.")
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", help="Write only the first N frames of the ranking.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Rank the frames by how much they deserve a look, and write the ranking to review.csv."""
    from carvid.review import review_dataset

    summary = review_dataset(dataset, out, top=top)
    for line in summary.skipped:
        typer.echo(f"carvid: not ranked, {line}", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=2))
    else:
        typer.echo(f"ranked {summary.frames} frames, wrote {summary.rows}: {summary.path}")
    return 0
