"""Scores as files and text: the reference evaluator's two CSV files, scores.json, and a Markdown table.

The reference evaluator lists the objects of a video under *matched* in the order of the labels they were
assigned, and numbers them so in its CSV file: its row `<video>_<k>` is the k-th assigned label's object, not
object k. The CSV files and the lists of scores.json keep its order, to be compared number by number;
scores.json says beside each list which object and label its entries are. Everything else goes by object.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from carvid.davis.protocols import PROTOCOLS, ObjectScore
from carvid.davis.scores import Averages, Interval, ProtocolScore, Scores, VideoScore
from carvid.measures.over_frames import Statistics

GLOBAL_COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
SEQUENCE_COLUMNS = ("Sequence", "J-Mean", "F-Mean")


def reference_order(video: VideoScore) -> tuple[ObjectScore, ...]:
    """A video's objects in the order of the labels compared with them; under identity that is by object."""
    return tuple(sorted(video.objects, key=lambda score: score.label))


def columns(averages: Averages) -> tuple[float, ...]:
    """The values of GLOBAL_COLUMNS."""
    j, f = averages.j, averages.f
    return (averages.jf_mean, j.mean, j.recall, j.decay, f.mean, f.recall, f.decay)


def global_csv(score: ProtocolScore) -> str:
    """The reference evaluator's `global_results-<split>.csv`, three decimals."""
    assert score.averages is not None
    return _csv(GLOBAL_COLUMNS, [[f"{value:.3f}" for value in columns(score.averages)]])


def per_sequence_csv(score: ProtocolScore) -> str:
    """The reference evaluator's `per-sequence_results-<split>.csv`, three decimals."""
    rows = [
        [f"{video.video}_{place}", f"{one.j.mean:.3f}", f"{one.f.mean:.3f}"]
        for video in score.videos
        for place, one in enumerate(reference_order(video), 1)
    ]
    return _csv(SEQUENCE_COLUMNS, rows)


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def scores_json(scores: Scores) -> str:
    """All scores as JSON; docs/refdavis.md lists its keys.

    A set that a protocol refused has no entry there, and the reason stands under "refused".
    """
    document: dict[str, Any] = {
        protocol: {
            str(one.index): {video.video: _video_json(video) for video in one.protocols[protocol].videos}
            for one in scores.sets
            if one.protocols[protocol].refused is None
        }
        for protocol in PROTOCOLS
    }
    document["averages"] = {
        protocol: {
            "sets": {str(one.index): _protocol_json(one.protocols[protocol]) for one in scores.sets},
            "overall": _protocol_json(scores.overall[protocol]),
        }
        for protocol in PROTOCOLS
    }
    document["gap"] = {
        **{str(one.index): gap(*(one.protocols[protocol] for protocol in PROTOCOLS)) for one in scores.sets},
        "overall": gap(*(scores.overall[protocol] for protocol in PROTOCOLS)),
    }
    document["refused"] = list(scores.refusals)
    document["missing_frames_scored_as_empty"] = {str(one.index): one.missing_frames for one in scores.sets}
    document["split"] = scores.split
    document["annotations"] = {"folder": str(scores.annotations), "sha256": dict(scores.annotation_sha256)}
    document["predictions"] = {
        str(one.index): {"folder": str(one.folder), "sha256": dict(one.prediction_sha256)}
        for one in scores.sets
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _video_json(video: VideoScore) -> dict[str, Any]:
    objects = reference_order(video)
    return {
        "J": _lists([one.j for one in objects]),
        "F": _lists([one.f for one in objects]),
        "objects": [one.object_id for one in objects],
        "labels": [one.label for one in objects],
        "averages": _averages_json(video.averages),
    }


def _lists(statistics: Sequence[Statistics]) -> dict[str, list[float]]:
    return {
        "M": [one.mean for one in statistics],
        "R": [one.recall for one in statistics],
        "D": [one.decay for one in statistics],
    }


def _averages_json(averages: Averages) -> dict[str, float]:
    return dict(zip(GLOBAL_COLUMNS, columns(averages), strict=True))


def _protocol_json(score: ProtocolScore) -> dict[str, Any]:
    if score.averages is None:
        return {"refused": score.refused}
    interval = score.interval and {
        "J&F-Mean": score.interval.jf_mean,
        "J-Mean": score.interval.j_mean,
        "F-Mean": score.interval.f_mean,
    }
    return {**_averages_json(score.averages), "bootstrap_95": interval}


def gap(identity: ProtocolScore, matched: ProtocolScore) -> dict[str, float] | None:
    """How much higher *matched* is than *identity*, by column; None when one of them was refused."""
    if identity.averages is None or matched.averages is None:
        return None
    pairs = zip(GLOBAL_COLUMNS, columns(identity.averages), columns(matched.averages), strict=True)
    return {name: high - low for name, low, high in pairs}


def markdown(scores: Scores) -> str:
    """The text for the terminal: both protocols side by side per set, in percent, and the gap."""
    means = ("J&F-Mean", "J-Mean", "F-Mean")
    head = ["Set", *(f"{name[:-5]} {protocol}" for name in means for protocol in (*PROTOCOLS, "gap"))]
    rows = [
        _row(f"{one.index}", [one.protocols[protocol] for protocol in PROTOCOLS], means)
        for one in scores.sets
    ]
    if len(scores.sets) > 1:
        mean_of = f"mean of {len(scores.sets)}"
        rows.append(_row(mean_of, [scores.overall[protocol] for protocol in PROTOCOLS], means))
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    parts = ["\n".join("| " + " | ".join(line) + " |" for line in lines)]
    parts.append("\n".join(_statistics_lines(scores)))
    parts.extend(_notes(scores))
    return "\n\n".join(parts) + "\n"


def _row(name: str, pair: Sequence[ProtocolScore], means: Sequence[str]) -> list[str]:
    identity, matched = (None if score.averages is None else _averages_json(score.averages) for score in pair)
    gaps = gap(pair[0], pair[1])
    cells = [name]
    for mean in means:
        cells.extend(_percent(None if values is None else values[mean]) for values in (identity, matched))
        cells.append(_percent(None if gaps is None else gaps[mean], sign="+"))
    return cells


def _statistics_lines(scores: Scores) -> list[str]:
    head = ["Protocol", *GLOBAL_COLUMNS, "J&F 95 % interval"]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for protocol in PROTOCOLS:
        score = scores.overall[protocol]
        values = [None] * len(GLOBAL_COLUMNS) if score.averages is None else [*columns(score.averages)]
        lines.append([protocol, *(_percent(value) for value in values), _interval(score.interval)])
    return ["| " + " | ".join(line) + " |" for line in lines]


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
    missing = {one.index: one.missing_frames for one in scores.sets if one.missing_frames}
    notes.extend(
        f"{count} missing prediction frames of set {index} were scored as empty."
        for index, count in missing.items()
    )
    notes.extend(f"Refused: {refusal}" for refusal in scores.refusals)
    return notes
