"""`carvid doctor`: what this machine has, and what a frame costs on it, to paste into an issue."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from carvid.cli import options


def doctor(
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Measure what a frame costs here, in 10 to 20 seconds.")
    ] = True,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> int:
    """Print what this machine has and what a frame costs on it: text without paths or names, to paste anywhere."""
    from carvid.doctor import examine

    report = examine(device, probes=probe, say=lambda line: typer.echo(f"carvid: {line}", err=True))
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        typer.echo("\n".join(report.lines()))
    return 0
