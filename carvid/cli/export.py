"""`carvid export`: a labelled dataset in another format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from carvid.cli import options
from carvid.cli.completion import among, formats
from carvid.export.formats import FORMATS


def export(
    dataset: Annotated[Path, typer.Argument(help="The folder that `carvid annotate` wrote.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help=f"{', '.join(FORMATS)}; or MODULE:CLASS, a format of your own.",
            autocompletion=among(formats),
        ),
    ],
    out: options.Out,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images",
            help="Write the frames' images, decoded again; on by default for formats that can hold them.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", help="How far a polygon may stray from the mask's outline, in px."),
    ] = None,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Polygons in place of run-length codes (coco).")
    ] = False,
    prefix: Annotated[
        str,
        typer.Option(
            "--prefix",
            help="The folder of pictures and videos below Label Studio's document root (labelstudio).",
        ),
    ] = "",
    val_share: Annotated[
        float | None,
        typer.Option("--val-share", help="The share of videos held out for validation (yolo-seg)."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Chooses those videos (yolo-seg).")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export in that folder.")
    ] = False,
    as_json: options.Json = False,
) -> int:
    """Export the finished videos of a dataset to another format."""
    from carvid.export import ExportOptions, export_dataset

    plain = ExportOptions()
    summary = export_dataset(
        dataset,
        to,
        out,
        ExportOptions(
            pictures=images,
            tolerance_px=plain.tolerance_px if tolerance is None else tolerance,
            overwrite=overwrite,
            polygons=polygons,
            prefix=prefix,
            val_share=plain.val_share if val_share is None else val_share,
            seed=seed,
        ),
    )
    for line in summary.skipped:
        typer.echo(f"carvid: not exported, {line}", err=True)
    for line in summary.notes:
        typer.echo(f"carvid: {line}", err=True)
    if as_json:
        typer.echo(json.dumps(summary.to_json(), indent=2))
        return 0
    counts = f"{summary.videos} videos, {summary.frames} frames, {summary.masks} masks"
    typer.echo(f"{summary.format}: {counts}: {summary.out}")
    left_out = summary.left_out_videos, summary.left_out_frames, summary.left_out_objects
    if any(left_out):
        typer.echo("left out: {} videos, {} frames, {} objects".format(*left_out))
    if summary.mean_iou_loss is not None:
        typer.echo(
            f"mean IoU loss of the polygons against the masks: {summary.mean_iou_loss:.4f};"
            f" of the worst mask: {summary.worst_iou_loss:.4f}"
        )
    return 0
