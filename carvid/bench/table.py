"""A benchmark's report as Markdown, for a terminal and for the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from carvid.bench.against import LEAST_IOU, CrfFrame, NaiveFrame
from carvid.bench.against_speed import Compared
from carvid.bench.report import BenchReport, QueriesReport
from carvid.bench.stages import Spread

_DROPS = {
    "none": "theta 0, so that every query stays",
    "one": "theta between the two lowest scores of the first frame, so that the first step drops one query",
    "preset": "the preset's theta",
}


def report_lines(report: BenchReport) -> list[str]:
    width, height = report.size
    machine = report.machine
    lines = [
        f"f {report.models[0]}, g {report.models[1]}; preset {report.preset} (mode {report.mode}); {report.dtype}",
        f"{machine.device}; {machine.threads} threads; torch {machine.torch}, Python {machine.python}",
        f"{report.clip}, {width}x{height}, {report.frames} frames after a warm-up frame; {_DROPS[report.drop]}",
        "",
        *_table(
            ("matrix product", "GFLOP/s"),
            [(f"{p.rows} x {p.inner} x {p.columns}", f"{p.flops / 1e9:,.1f}") for p in report.products],
        ),
    ]
    for run in report.runs:
        lines += ["", *_run(run)]
        if run.naive:
            lines += ["", *_naive(run.naive)]
        if run.crf:
            lines += ["", *_crf(run.crf, run.queries)]
        if run.speed:
            lines += ["", *_speed(run.speed)]
    if any(run.queries == 1 for run in report.runs) and len(report.runs) > 1:
        lines += ["", *_growth(report.runs)]
    return lines


def _run(run: QueriesReport) -> list[str]:
    rows = []
    for name, spread in run.stages.items():
        share = run.model.get(name)
        counted = (
            (f"{share.operations / 1e12:.4f}", f"{share.flops / 1e9:,.1f}", f"{share.share:.1%}")
            if share
            else ()
        )
        rows.append((name, *_times(spread), *(counted or ("", "", ""))))
    rows.append(("**frame to masks**", *_times(run.segment), "", "", ""))
    memory = ", ".join(
        f"{name.removesuffix('_bytes')} {size / 2**20:,.0f} MiB" for name, size in run.memory.items()
    )
    return [
        f"### {run.queries} {'query' if run.queries == 1 else 'queries'}",
        "",
        *_table(
            ("stage", "median ms", "quartiles ms", "TFLOP to do", "GFLOP/s", "of the machine's best"), rows
        ),
        "",
        f"theta {run.theta:.6g}; dropped in the first step, per frame: {_counts(run.dropped)}; "
        f"images through g: {_counts(run.encoded)}; peak memory so far: {memory}",
        *([] if run.sam is None else ["", _sam(run.sam)]),
    ]


def _sam(totals: Mapping[str, Any]) -> str:
    frames = totals["frames"]
    if not frames:
        return "SAM did not run: no frame has a mask"
    each = {name: totals[name] / frames for name in ("decoded_points", "grid_points", "segments")}
    return (
        f"SAM, means over {frames} frames with masks, the warm-up frame included: {each['decoded_points']:,.0f} of "
        f"{each['grid_points']:,.0f} points decoded, {each['segments']:,.0f} masks found"
    )


def _naive(frames: Sequence[NaiveFrame]) -> list[str]:
    ours = median(frame.seconds for frame in frames)
    theirs = median(frame.naive_seconds for frame in frames)
    ratio = median(frame.naive_seconds / frame.seconds for frame in frames)
    live = "equal" if all(frame.live_equal for frame in frames) else "DIFFERENT"
    worst = min(frame.iou for frame in frames)
    verdict = "agree" if all(frame.agrees for frame in frames) else "DO NOT AGREE"
    return [
        f"Against the straightforward method: {theirs:.3f} s, carvid {ours:.3f} s, **{ratio:.2f} times** as fast "
        "(medians; the ratio is taken frame by frame).",
        f"Results {verdict}: live sets {live}, lowest mask IoU {worst:.4f} (required: {LEAST_IOU}).",
    ]


def _crf(frames: Sequence[CrfFrame], queries: int) -> list[str]:
    def row(name: str, pairs: Sequence[tuple[float, float]]) -> tuple[str, ...]:
        ours, theirs = (median(each) for each in zip(*pairs, strict=True))
        ratio = median(slow / fast for fast, slow in pairs)
        return name, f"{theirs:.3f}", f"{ours:.3f}", f"{ratio:.2f}"

    built = [(f.seconds + f.spatial_seconds, f.reference_seconds) for f in frames]
    kept = [(f.seconds, f.reference_seconds) for f in frames]
    neither = [(f.seconds, f.reference_seconds - f.reference_spatial_seconds) for f in frames]
    equal = min(f.labels_equal for f in frames)
    return [
        f"Against pydensecrf, {queries} {'query' if queries == 1 else 'queries'}: {equal:.4%} of the labels equal "
        "(lowest over frames).",
        "",
        *_table(
            ("dense CRF of one frame", "pydensecrf s", "carvid s", "times"),
            [
                row("as each is used: carvid's spatial lattice is kept from frame to frame", kept),
                row("spatial kernel counted in neither", neither),
                row("spatial kernel built in both", built),
            ],
        ),
    ]


def _speed(compared: Sequence[Compared]) -> list[str]:
    rows = [
        (
            each.what,
            f"{each.other:.3f}",
            f"{each.seconds:.3f}",
            f"{each.ratio:.2f}",
            "" if each.iou is None else f"{each.iou:.3f}",
            f"{each.other_frames}, {each.frames}",
        )
        for each in compared
    ]
    return _table(("against", "s", "carvid s", "times", "IoU of the masks", "frames timed"), rows)


def _growth(runs: Sequence[QueriesReport]) -> list[str]:
    one = next(run for run in runs if run.queries == 1)
    passes = one.stages["cam"].median + one.stages["classifier"].median
    rows = []
    for run in runs:
        bound = run.queries * passes + 3 * one.rest
        rows.append(
            (
                str(run.queries),
                f"{1e3 * run.segment.median:,.0f}",
                f"{run.rest / one.rest:.2f}",
                f"{run.segment.median / bound:.1%}",
            )
        )
    return [
        "How cost grows. Bound: N times the CAM and classifier of one query, plus 3 times the rest of its frame.",
        "",
        *_table(("queries", "frame to masks, ms", "rest / rest of one query", "of the bound"), rows),
    ]


def _times(spread: Spread) -> tuple[str, str]:
    return f"{1e3 * spread.median:,.1f}", f"{1e3 * spread.q1:,.1f} - {1e3 * spread.q3:,.1f}"


def _counts(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else ", ".join(map(str, values))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, all but the first aligned to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return (
            " | ".join([f"| {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in others)]) + " |"
        )

    rule = "|".join(["|" + "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return [line(head), rule, *(line(row) for row in rows)]
