"""`carvid verify`: whether what a run or a dataset holds is what it recorded."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carvid.cli import options
from carvid.cli.exits import PART_FAILED


def verify(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The folder that `carvid run` or `carvid annotate` wrote.", metavar="OUT|DATASET"
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option("--source", help="Where the run's source is now, if it has moved."),
    ] = None,
    rerun: Annotated[
        int | None,
        typer.Option("--rerun", metavar="N", help="Also segment N random frames again and compare them."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Which frames are chosen for --rerun.")] = 0,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="Where --rerun computes; by default where it was done, if this machine has that."
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Check source, weights, settings and masks against the hashes and codes that were recorded.

    Every check is a line: ok, differs, or cannot be checked, and why. Exits with 1 where something differs, where
    nothing could be checked, and where --rerun could not compare.
    """
    from carvid.verify.agreement_again import NAME
    from carvid.verify.check import OK, is_whole
    from carvid.verify.verify import verify as checks_of

    done = []
    for check in checks_of(folder, source=source, rerun=rerun, seed=seed, device=device):
        done.append(check)
        if not as_json:
            typer.echo(check.told())
    counts = Counter(check.state for check in done)
    whole = is_whole(done) and (rerun is None or any((one.name, one.state) == (NAME, OK) for one in done))
    if as_json:
        told = {"ok": whole, "counts": dict(counts), "checks": [asdict(check) for check in done]}
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        typer.echo(f"{counts['ok']} ok, {counts['differs']} differ, {counts['unchecked']} cannot be checked")
    return 0 if whole else PART_FAILED
