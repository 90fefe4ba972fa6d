"""Measures the method on drawn clips: J&F of the things in them, and how often presence is called right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from carvid.davis.evaluate import evaluate
from carvid.davis.label_measures import CONSISTENCY_COLUMN
from carvid.engines import EngineSession
from carvid.loading import load_model
from carvid.media.palette import read_label_png, write_label_png
from carvid.pipeline import OutputOptions, RunProgress, run_job
from carvid.recipe import load_recipe
from carvid.shapes.drawn_tree import Clip
from carvid.sinks.results import read_results
from carvid.stream import open_frames
from carvid.video_session import open_session


@dataclass(frozen=True)
class Variant:
    """The pipeline with some fields of the recipe changed."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)


WHOLE = Variant("whole")
# Without what is between key frames, so that each of the following shows what it is about.
_ALONE = {"keyframes": 1}
VARIANTS = (
    WHOLE,
    Variant("a key every 5 frames", {"keyframes": 5}),
    Variant("every frame alone", _ALONE),
    # theta 0 drops no query, so the recurrence ends after its first step.
    Variant("... without recurrence (theta 0)", {**_ALONE, "theta": 0.0}),
    Variant("... without background texts", {**_ALONE, "background": (), "negatives": ()}),
    Variant("... without negatives", {**_ALONE, "negatives": ()}),
    Variant("... with the affinity step", {**_ALONE, "cam": "clip-es"}),
    Variant("... without the CRF", {**_ALONE, "crf": False}),
    # With theta as it suits whole proposals.
    Variant("... without --split", {**_ALONE, "split_things": False, "theta": 0.05}),
)


@dataclass(frozen=True)
class Measured:
    """The scores of one variant, over all clips, in [0, 1].

    jf, j, f: by Ref-DAVIS's identity protocol, mean over objects.
    consistency: how well a frame's masks are those of the frame before, moved (`carvid.measures.consistency`).
    present: over all frames, the share of visible things called present; absent: of absent things called absent.
    """

    variant: str
    jf: float
    j: float
    f: float
    consistency: float
    present: float
    absent: float


def measure(
    root: Path,
    clips: Sequence[Clip],
    out: Path,
    variant: Variant = WHOLE,
    *,
    model: str = "shapes",
    device: str = "cpu",
    overlay: bool = False,
    progress: RunProgress | None = None,
) -> Measured:
    """Run the preset `shapes`, changed by `variant`, on each clip of the tree `root`, and score the masks.

    The queries of a clip are the things in it and its absent things, together. Writes out/runs/<clip> as `carvid run`
    does, and out/predictions/<clip>, the same masks without the absent things' labels.
    """
    recipe = load_recipe("shapes", model=model, device=device, dtype="float32", **variant.overrides)
    loaded = load_model(recipe)
    called_present, called_absent = [], []
    for clip in clips:
        run = out / "runs" / clip.name
        queries = [f"the {name}" for name in (*clip.expressions, *clip.absent)]
        with closing(open_session(loaded.session, queries, recipe)) as session:
            _run(root / "JPEGImages" / "480p" / clip.name, run, session, overlay, progress)
        predictions = out / "predictions" / clip.name
        predictions.mkdir(parents=True, exist_ok=True)
        for i, line in enumerate(read_results(run / "results.jsonl")):
            present = [query["present"] for query in line["queries"]]
            count = len(clip.expressions)
            called_present += [
                said for said, seen in zip(present[:count], clip.visible[i], strict=True) if seen
            ]
            called_absent += [not said for said in present[count:]]
            labels = read_label_png(run / "masks" / f"{line['name']}.png")
            there = np.where(labels <= count, labels, 0).astype(np.uint8)
            write_label_png(predictions / f"{line['name']}.png", there)
    scores = evaluate(root, out / "predictions", consistency=True).sets[0]
    averages = scores.protocols["identity"].averages
    assert averages is not None  # predictions use the annotation's labels, so this protocol always applies
    consistency = scores.label_columns[CONSISTENCY_COLUMN]
    return Measured(
        variant=variant.name,
        jf=averages.jf_mean,
        j=averages.j.mean,
        f=averages.f.mean,
        consistency=float("nan") if consistency is None else consistency,
        present=float(np.mean(called_present)),
        absent=float(np.mean(called_absent)),
    )


def _run(
    source: Path,
    out: Path,
    session: EngineSession,
    overlay: bool,
    progress: RunProgress | None,
) -> None:
    with open_frames(source) as frames:
        output = OutputOptions(overlay=overlay, overwrite=True)
        run_job(frames, session, out, output=output, progress=progress)


def table(rows: Sequence[Measured]) -> str:
    """A Markdown table of the variants' scores."""
    lines = [
        "| pipeline | J&F | J | F | consistency | present called present | absent called absent |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = " | ".join(f"{share:.1%}" for share in (row.present, row.absent))
        lines.append(
            f"| {row.variant} | {row.jf:.3f} | {row.j:.3f} | {row.f:.3f} | {row.consistency:.3f} | {shares} |"
        )
    return "\n".join(lines)
