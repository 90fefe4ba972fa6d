"""Scores as Markdown, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from carvid.davis.averages import Interval
from carvid.davis.columns import GLOBAL_COLUMNS, by_column, gap
from carvid.davis.label_measures import CONSISTENCY_COLUMN, TRACK_COLUMNS, explanations
from carvid.davis.protocols import PROTOCOLS
from carvid.davis.scores import ProtocolScore, Scores
from carvid.problems import listing


def markdown(scores: Scores) -> str:
    """The text for the terminal: both protocols side by side per set, in percent, and the gap.

    What was asked for beside J and F is a column, or a table of its own.
    """
    means = ("J&F-Mean", "J-Mean", "F-Mean")
    asked = scores.label_columns
    beside = [CONSISTENCY_COLUMN] if CONSISTENCY_COLUMN in asked else []
    sets = [(f"{one.index}", one.protocols, one.label_columns) for one in scores.sets]
    if len(scores.sets) > 1:
        sets.append((f"mean of {len(scores.sets)}", scores.overall, asked))
    of_protocols = [f"{name[:-5]} {protocol}" for name in means for protocol in (*PROTOCOLS, "gap")]
    rows = [
        _row(name, [pair[protocol] for protocol in PROTOCOLS], means) + _label_cells(labels, beside)
        for name, pair, labels in sets
    ]
    parts = [_table(["Set", *of_protocols, *beside], rows)]
    if TRACK_COLUMNS[0] in asked:
        rows = [[name, *_label_cells(labels, TRACK_COLUMNS)] for name, _, labels in sets]
        parts.append(_table(["Set", *TRACK_COLUMNS], rows))
    parts.append(_statistics(scores))
    parts.extend(_notes(scores))
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _label_cells(columns: Mapping[str, float | None], names: Sequence[str]) -> list[str]:
    return [_percent(columns[name]) for name in names]


def _row(name: str, pair: Sequence[ProtocolScore], means: Sequence[str]) -> list[str]:
    identity, matched = (None if score.averages is None else by_column(score.averages) for score in pair)
    gaps = gap(pair[0], pair[1])
    cells = [name]
    for mean in means:
        cells.extend(_percent(None if values is None else values[mean]) for values in (identity, matched))
        cells.append(_percent(None if gaps is None else gaps[mean], sign="+"))
    return cells


def _statistics(scores: Scores) -> str:
    rows = []
    for protocol in PROTOCOLS:
        score = scores.overall[protocol]
        values = {} if score.averages is None else by_column(score.averages)
        cells = (_percent(values.get(name)) for name in GLOBAL_COLUMNS)
        rows.append([protocol, *cells, _interval(score.interval)])
    return _table(["Protocol", *GLOBAL_COLUMNS, "J&F 95 % interval"], rows)


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else " to ".join(_percent(end) for end in interval.jf_mean)


def _percent(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{100 * value:{sign}.2f}"


def _notes(scores: Scores) -> list[str]:
    videos = len(scores.annotation_sha256)
    objects = max(
        sum(len(video.objects) for video in score.videos)
        for one in scores.sets
        for score in one.protocols.values()
    )
    notes = [
        f"In percent. Split {scores.split}: {videos} videos, {objects} objects, "
        f"expression sets {', '.join(str(one.index) for one in scores.sets)}. "
        "identity: label k against object k; matched: the best assignment, which cannot see two referents "
        "swapped. The interval is a bootstrap over videos."
    ]
    notes.extend(explanations(scores.label_columns))
    missing = {one.index: one.missing_frames for one in scores.sets if one.missing_frames}
    notes.extend(
        f"{count} missing prediction frames of set {index} were scored as empty."
        for index, count in missing.items()
    )
    if scores.left_out:
        notes.append(f"Left out: {len(scores.left_out)} videos. {listing(scores.left_out, '; ', most=5)}")
    notes.extend(f"Refused: {refusal}" for refusal in scores.refusals)
    return notes
