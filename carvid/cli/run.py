"""`carvid run`: from a video and referring expressions to masks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from carvid.cli import options
from carvid.cli.exits import INTERRUPTED, PART_FAILED
from carvid.cli.progress import FrameProgress

if TYPE_CHECKING:
    from carvid.pipeline import Summary


def run(
    source: Annotated[str, typer.Argument(help="A video file, or a folder of images.")],
    queries: Annotated[list[str], typer.Argument(help="Referring expressions, one argument each.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Output folder; carvid-<source> here if not given.")
    ] = None,
    model: options.Model = None,
    proposer: options.Proposer = None,
    classifier: options.Classifier = None,
    preset: options.Preset = "default",
    mode: options.Mode = None,
    eta: options.Eta = None,
    theta: options.Theta = None,
    lam: options.Lam = None,
    cam: options.Cam = None,
    prompt: options.Prompts = None,
    templates: options.Templates = None,
    background: options.Background = None,
    negatives: options.Negatives = None,
    crf: options.Crf = None,
    sam: options.Sam = None,
    sam_points: options.SamPoints = "full",
    sam_every: options.SamEvery = 1,
    carry: options.Carry = None,
    batch: options.Batch = "auto",
    truncate: options.Truncate = False,
    separate: Annotated[bool, typer.Option("--separate", help="Write one mask per query and frame.")] = False,
    overlay: Annotated[bool, typer.Option("--overlay/--no-overlay", help="Write overlay.mp4.")] = True,
    reader: options.Reader = "pyav",
    start_frame: options.StartFrame = 0,
    stop_frame: options.StopFrame = None,
    every: options.Every = 1,
    strict: options.Strict = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    offline: options.Offline = False,
    allow_pickle: options.AllowPickle = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> int:
    """Segment every frame of a video by referring expressions.

    Writes masks (palette PNG, one a frame), overlay.mp4, results.jsonl and run.json into the output folder.
    """
    from carvid.clip.names import resolve_pair
    from carvid.config import load_settings
    from carvid.sam.catalog import locate as locate_sam
    from carvid.sam.names import resolve_sam
    from carvid.sinks.output import check_output
    from carvid.stream import open_frames
    from carvid.weights.hub import locate

    folder = out if out is not None else Path(f"carvid-{Path(source).resolve().stem}")
    # The cheap refusals first: the source, the output folder and weights that are not to be had, before torch
    # is imported, which takes seconds.
    with open_frames(
        source,
        reader=reader,
        start_frame=start_frame,
        stop_frame=stop_frame,
        every=every,
        strict=strict,
    ) as frames:
        check_output(folder, frames.info.path, overwrite=overwrite)
        for spec in resolve_pair(model or load_settings(preset).model, proposer, classifier):
            locate(spec, offline=offline, allow_pickle=allow_pickle)
        if sam is not None:
            locate_sam(resolve_sam(sam), offline=offline, allow_pickle=allow_pickle)
        from carvid.car.carry import CarryOptions
        from carvid.pipeline import OutputOptions, run_job
        from carvid.sam.ensemble import SamOptions
        from carvid.segmenter import VideoSegmenter

        segmenter = VideoSegmenter.from_pretrained(
            model,
            queries=queries,
            proposer=proposer,
            classifier=classifier,
            preset=preset,
            mode=mode,
            eta=eta,
            theta=theta,
            lam=lam,
            cam=cam,
            prompts=options.texts(prompt),
            templates=options.texts(templates),
            background=options.texts(background),
            negatives=options.texts(negatives),
            crf=crf,
            sam=sam,
            sam_options=SamOptions(points=sam_points, every=sam_every),
            carry=None if carry is None else CarryOptions(every=carry),
            batch=options.batch(batch),
            device=device,
            dtype=dtype,
            truncate=truncate,
            offline=offline,
            allow_pickle=allow_pickle,
        )
        summary = run_job(
            frames,
            segmenter,
            folder,
            output=OutputOptions(separate=separate, overlay=overlay, overwrite=overwrite),
            every=every,
            total=frames.info.frames_expected,
            command=["carvid", *sys.argv[1:]],
            stream_options={
                "reader": reader,
                "start_frame": start_frame,
                "stop_frame": stop_frame,
                "strict": strict,
            },
            progress=FrameProgress(Path(source).name),
        )
    _report(summary, as_json)
    if summary.interrupted:
        return INTERRUPTED
    return PART_FAILED if summary.damaged else 0


def _report(summary: Summary, as_json: bool) -> None:
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
    for query, share in zip(summary.queries, summary.present_share, strict=True):
        typer.echo(f"  {query!r}: present in {share:.1%} of the frames")
    for kind, path in summary.outputs.items():
        typer.echo(f"  {kind}: {path}")
