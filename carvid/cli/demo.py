"""`carvid demo`: the whole method on drawn clips, with the embedded model, and its score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from carvid.cli import options
from carvid.cli.completion import among, clips
from carvid.cli.progress import FrameProgress


def demo(
    out: options.Out = Path("demo"),
    clips: Annotated[int, typer.Option("--clips", min=1, help="How many clips to draw.")] = 1,
    frames: Annotated[int, typer.Option("--frames", min=3, help="Frames per clip.")] = 24,
    table: Annotated[
        bool, typer.Option("--table", help="Also measure the pipeline with each part left out in turn.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", help="The model to measure.", autocompletion=among(clips))
    ] = "shapes",
    device: options.Device = "cpu",
) -> int:
    """Draw clips with known masks as a Ref-DAVIS tree, segment them, and score the result.

    The embedded model `shapes` knows drawn shapes and nothing else: this only shows that the whole method works.
    """
    from carvid.media.locks import FolderLock
    from carvid.shapes.benchmark import VARIANTS, WHOLE, measure
    from carvid.shapes.benchmark import table as markdown
    from carvid.shapes.drawn_tree import write_dataset

    with FolderLock(out):
        root = out / "DAVIS"
        drawn = write_dataset(root, clips=clips, frames=frames)
        rows = []
        for number, variant in enumerate(VARIANTS if table else (WHOLE,)):
            folder = out / (f"variant-{number}" if number else "output")
            progress = FrameProgress(variant.name)
            overlay = variant is WHOLE
            rows.append(
                measure(
                    root,
                    drawn,
                    folder,
                    variant,
                    model=model,
                    device=device,
                    overlay=overlay,
                    progress=progress,
                )
            )
    typer.echo(markdown(rows))
    for clip in drawn[:4]:
        said = ", ".join(f"the {name}" for name in (*clip.expressions, *clip.absent))
        typer.echo(
            f"{clip.name}: asked for {said}; overlay: {out / 'output' / 'runs' / clip.name / 'overlay.mp4'}"
        )
    return 0
