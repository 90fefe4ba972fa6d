"""The files that scores are written to: the reference evaluator's two CSV files, and scores.json.

What was asked for beside J and F has two such CSV files of its own.

Under *matched*, the reference evaluator lists the objects of a video in the order of the labels assigned to
them: its row `<video>_<k>` is the object of the k-th assigned label, not object k. The CSV files and the lists
of scores.json keep that order, so that they can be compared number by number; scores.json says beside each list
which object and label its entries belong to. Everything else goes by object.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from carvid.davis.columns import GLOBAL_COLUMNS, by_column, gap
from carvid.davis.label_measures import LabelMeasures, columns_of
from carvid.davis.protocols import PROTOCOLS, ObjectScore
from carvid.davis.scores import ProtocolScore, Scores, SetScore, VideoScore
from carvid.measures.over_frames import Statistics

SEQUENCE_COLUMNS = ("Sequence", "J-Mean", "F-Mean")


def reference_order(video: VideoScore) -> tuple[ObjectScore, ...]:
    """A video's objects in the order of the labels compared with them; under identity that is by object."""
    return tuple(sorted(video.objects, key=lambda score: score.label))


def global_csv(score: ProtocolScore) -> str:
    """The reference evaluator's `global_results-<split>.csv`, three decimals."""
    assert score.averages is not None
    return _csv(GLOBAL_COLUMNS, [[f"{value:.3f}" for value in by_column(score.averages).values()]])


def per_sequence_csv(score: ProtocolScore) -> str:
    """The reference evaluator's `per-sequence_results-<split>.csv`, three decimals."""
    rows = [
        [f"{video.video}_{place}", f"{one.j.mean:.3f}", f"{one.f.mean:.3f}"]
        for video in score.videos
        for place, one in enumerate(reference_order(video), 1)
    ]
    return _csv(SEQUENCE_COLUMNS, rows)


def global_labels_csv(one: SetScore) -> str:
    """What was asked for beside J and F, over all videos of a set, three decimals; a cell without a value is empty."""
    columns = one.label_columns
    return _csv(tuple(columns), [_cells(columns)])


def per_sequence_labels_csv(one: SetScore) -> str:
    """The same by video."""
    rows = [[video, *_cells(columns_of([measures]))] for video, measures in one.labels.items()]
    return _csv(("Sequence", *one.label_columns), rows)


def _cells(columns: Mapping[str, float | None]) -> list[str]:
    return ["" if value is None else f"{value:.3f}" for value in columns.values()]


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def scores_json(scores: Scores) -> str:
    """All scores as JSON; docs/refdavis.md lists its keys.

    A set that a protocol refused has no entry under that protocol; the reason is under "refused".
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
    if scores.label_columns:
        document["labels"] = {
            "sets": {str(one.index): _labels_json(one) for one in scores.sets},
            "overall": scores.label_columns,
        }
    document["refused"] = list(scores.refusals)
    document["left_out"] = list(scores.left_out)
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
        "averages": by_column(video.averages),
    }


def _lists(statistics: Sequence[Statistics]) -> dict[str, list[float]]:
    return {
        "M": [one.mean for one in statistics],
        "R": [one.recall for one in statistics],
        "D": [one.decay for one in statistics],
    }


def _protocol_json(score: ProtocolScore) -> dict[str, Any]:
    if score.averages is None:
        return {"refused": score.refused}
    interval = score.interval and {
        "J&F-Mean": score.interval.jf_mean,
        "J-Mean": score.interval.j_mean,
        "F-Mean": score.interval.f_mean,
    }
    return {**by_column(score.averages), "bootstrap_95": interval}


def _labels_json(one: SetScore) -> dict[str, Any]:
    videos = {video: _video_labels_json(measures) for video, measures in one.labels.items()}
    return {**one.label_columns, "videos": videos}


def _video_labels_json(measures: LabelMeasures) -> dict[str, Any]:
    found: dict[str, Any] = {**columns_of([measures])}
    if measures.consistency is not None:
        found["consistency_by_label"] = {str(label): value for label, value in measures.consistency.items()}
    if measures.tracks is not None:
        found["IDTP"] = measures.tracks.id_hits
        found["IDFN"] = measures.tracks.id_misses
        found["IDFP"] = measures.tracks.id_false_alarms
    return found
