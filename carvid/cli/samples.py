"""Running samples for a command: its progress, its report, and what ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from carvid.cli.exits import INTERRUPTED, PART_FAILED
from carvid.recipe import Recipe

if TYPE_CHECKING:
    from carvid.evaluate.contract import Painter, Sample


def run_samples(
    painter: Painter,
    part: str,
    samples: Sequence[Sample],
    what: str,
    recipe: Recipe,
    out: Path,
    *,
    workers: int = 1,
    ray: str | None = None,
    overwrite: bool = False,
    rows: Mapping[str, Mapping[str, Any]] | None = None,
) -> int:
    """Run the samples, called `what`, that are not done yet, as `carvid.evaluate.runner.run_benchmark` does, and tell
    what it came to. Returns the exit code: 0 where all are done, else that of Ctrl-C or of samples that failed."""
    from carvid.cli.dataset_progress import DatasetProgress
    from carvid.evaluate.runner import run_benchmark
    from carvid.evaluate.tasks import ALONE
    from carvid.workers.supervise import WorkOptions

    with DatasetProgress(what) as progress:
        ran = run_benchmark(
            painter,
            part,
            samples,
            recipe,
            out,
            work=WorkOptions(workers=workers),
            ray=ray,
            rows=ALONE if rows is None else rows,
            overwrite=overwrite,
            progress=progress,
        )
    typer.echo(
        f"carvid: {ran.samples} {what} ({ran.frames} frames) segmented, {ran.done_before} done before, "
        f"{len(ran.failed)} failed",
        err=True,
    )
    for sample, why in ran.failed.items():
        typer.echo(f"carvid: {sample}: {why}", err=True)
    if ran.interrupted:
        typer.echo("carvid: interrupted; run the same command again to continue", err=True)
        return INTERRUPTED
    return PART_FAILED if ran.failed else 0
