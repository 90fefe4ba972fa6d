"""`carvid refdavis` and `carvid eval`: run on Ref-DAVIS 2017, and score the result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carvid.cli import options
from carvid.cli.help import OUTPUT, SOURCE
from carvid.cli.recipe_options import takes_recipe
from carvid.cli.samples import run_samples
from carvid.errors import InputError, UsageError
from carvid.recipe import Recipe

if TYPE_CHECKING:
    from carvid.davis.scores import Scores

Root = Annotated[
    Path,
    typer.Argument(
        help="The DAVIS tree: Annotations*, ImageSets and, for a run or --consistency, JPEGImages."
    ),
]
Split = Annotated[
    str, typer.Option("--split", help="The name of a list in ImageSets/2017.", rich_help_panel=SOURCE)
]
Videos = Annotated[
    str | None,
    typer.Option("--videos", help="Only these videos, separated by commas.", rich_help_panel=SOURCE),
]
Sets = Annotated[
    str | None,
    typer.Option("--sets", help="Only these expression sets, such as 0,1.", rich_help_panel=SOURCE),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        help="The folder of the videos' annotations, if it is not the usual one.",
        rich_help_panel=SOURCE,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes that score; by default one per core.", rich_help_panel="Machine"
    ),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", help="Write a self-contained HTML page here.", rich_help_panel=OUTPUT),
]
Consistency = Annotated[
    bool,
    typer.Option(
        "--consistency",
        help="Measure temporal consistency too: each mask against the one before, warped by optical flow. Takes "
        "longer, and needs JPEGImages.",
        rich_help_panel=OUTPUT,
    ),
]
Tracks = Annotated[
    bool,
    typer.Option(
        "--tracks",
        help="Measure HOTA and IDF1 too, with labels as tracks.",
        rich_help_panel=OUTPUT,
    ),
]


def evaluate(
    davis_root: Root,
    predictions: Annotated[
        Path, typer.Argument(help="A folder with valid/anno_{0..3}/<video>/*.png, or with <video>/*.png.")
    ],
    split: Split = "val",
    videos: Videos = None,
    sets: Sets = None,
    annotations: Annotations = None,
    missing: Annotated[
        str,
        typer.Option(
            "--missing",
            help="Frames without a prediction: refuse, or empty to score them as empty.",
        ),
    ] = "refuse",
    workers: Workers = None,
    report: Report = None,
    consistency: Consistency = False,
    tracks: Tracks = False,
) -> int:
    """Score predictions, whoever made them: J, F and J&F under the identity and the matched protocol."""
    from carvid.davis.evaluate import evaluate as score

    if missing not in ("refuse", "empty"):
        raise UsageError(f"--missing is {missing!r}; expected refuse or empty")
    scores = score(
        davis_root,
        predictions,
        split=split,
        videos=_names(videos),
        sets=_numbers(sets),
        annotations=annotations,
        missing="empty" if missing == "empty" else "refuse",
        workers=workers,
        report=report,
        consistency=consistency,
        tracks=tracks,
    )
    return _tell(scores)


@takes_recipe(preset="refdavis", without=("causal", "instances"), speed="exact")
def refdavis(
    davis_root: Root,
    out: options.Out,
    recipe: Recipe,
    split: Split = "val",
    videos: Videos = None,
    sets: Sets = None,
    annotations: Annotations = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Remove what a run with other weights or settings wrote there.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    workers: Workers = None,
    report: Report = None,
    consistency: Consistency = False,
    tracks: Tracks = False,
) -> int:
    """Segment a split with every expression set, then score it. Run it again to continue where it stopped."""
    from carvid.davis.dataset import read_dataset
    from carvid.evaluate.ref_davis import REF_DAVIS, samples_of
    from carvid.media.locks import FolderLock, check_free

    # The tree and the output folder are checked before any weights are loaded.
    dataset = read_dataset(
        davis_root, split=split, videos=_names(videos), sets=_numbers(sets), annotations=annotations
    )
    samples = samples_of(davis_root, dataset)
    check_free(out)
    from carvid.davis.evaluate import evaluate as score

    def run_and_score(recipe: Recipe, folder: Path, **more: Any) -> Scores:
        code = run_samples(REF_DAVIS, split, samples, "videos", recipe, folder, overwrite=overwrite)
        if code:
            raise typer.Exit(code)
        return score(
            davis_root,
            folder,
            split=split,
            videos=_names(videos),
            sets=dataset.sets,
            annotations=annotations,
            workers=workers,
            consistency=consistency,
            tracks=tracks,
            **more,
        )

    with FolderLock(out):
        if recipe.keyframes == 1:
            return _tell(run_and_score(recipe, out, report=report))
        # What the key frames lose is told beside what they save, so every frame is run too.
        every_frame = run_and_score(replace(recipe, keyframes=1), out)
        title = "auto" if recipe.keyframes is None else str(recipe.keyframes)
        scores = run_and_score(
            recipe, out / f"keyframes-{title}", report=report, beside=("Every frame run", every_frame)
        )
    typer.echo("Every frame run:\n")
    failed = _tell(every_frame)
    typer.echo(f"\nKey frames, {title}:\n")
    return _tell(scores) or failed


def _tell(scores: Scores) -> int:
    from carvid.davis.markdown import markdown

    typer.echo(markdown(scores))
    for refusal in scores.refusals:
        typer.echo(f"carvid: {refusal}", err=True)
    return InputError.exit_code if scores.refusals else 0


def _names(given: str | None) -> list[str] | None:
    return None if given is None else [name.strip() for name in given.split(",") if name.strip()]


def _numbers(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        return [int(part) for part in given.split(",")]
    except ValueError:
        raise UsageError(f"--sets is {given!r}; expected numbers from 0 to 3, such as 0,1") from None
