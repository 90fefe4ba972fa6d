"""Scoring in one call: reads the tree and the predictions, writes every result file, returns the scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carvid.davis.dataset import checked_sets, read_frames, read_truth
from carvid.davis.html_report import write_report
from carvid.davis.predictions import MissingFrames, set_folder_name
from carvid.davis.score_files import (
    global_csv,
    global_labels_csv,
    per_sequence_csv,
    per_sequence_labels_csv,
    scores_json,
)
from carvid.davis.score_split import score_predictions
from carvid.davis.scores import Scores
from carvid.errors import InputError
from carvid.media.whole_file import output_errors, write_whole
from carvid.paths import is_dir

SCORES_FILE = "scores.json"
CSV_FOLDER = "scores"
LABELS_FOLDER = "labels"


def evaluate(
    davis_root: str | Path,
    predictions: str | Path,
    *,
    split: str = "val",
    videos: Sequence[str] | None = None,
    sets: Sequence[int] | None = None,
    annotations: str | Path | None = None,
    missing: MissingFrames = "refuse",
    workers: int | None = None,
    report: str | Path | None = None,
    consistency: bool = False,
    tracks: bool = False,
    beside: tuple[str, Scores] | None = None,
) -> Scores:
    """Scores predictions against a Ref-DAVIS tree under both protocols and writes the results beside them.

    davis_root: needs only `Annotations*` and `ImageSets`, and with `consistency` also `JPEGImages`; the report shows
    frames and expressions if there.
    predictions: holds `valid/anno_{0..3}/<video>/*.png`, or bare `<video>/*.png` as set 0.
    sets: by default those found. missing, workers: see `score_predictions`. report: where to write an HTML page.
    consistency, tracks: measure temporal consistency, and HOTA and IDF1, too: see `carvid.davis.label_measures`.
    beside: other scores of the same split, under a heading, that the report sets beside these.

    Writes, below `predictions`, `scores.json` and, per protocol and set that was scored,
    `scores/<protocol>/anno_<set>/global_results-<split>.csv` and `per-sequence_results-<split>.csv`; the same in
    `scores/labels` for `consistency` and `tracks`. Those of an earlier call are removed before anything is read, so a
    refusal leaves no old figure behind.

    Raises UsageError, InputError (naming the files) or OutputError. If only one protocol is refused, nothing is
    raised: see `Scores.refusals`.
    """
    davis_root, predictions = Path(davis_root), Path(predictions)
    if sets is not None:
        checked_sets(sets)
    _remove_old(predictions, split)
    folder = None if annotations is None else Path(annotations)
    truth = read_truth(davis_root, split=split, videos=videos, annotations=folder)
    scores = score_predictions(
        truth,
        predictions,
        sets=sets,
        missing=missing,
        workers=workers,
        frames=read_frames(davis_root, truth) if consistency else None,
        tracks=tracks,
    )
    for one in scores.sets:
        for protocol, score in one.protocols.items():
            if score.refused is None:
                folder = predictions / CSV_FOLDER / protocol / set_folder_name(one.index)
                _write_pair(folder, split, global_csv(score), per_sequence_csv(score))
        if one.label_columns:
            folder = predictions / CSV_FOLDER / LABELS_FOLDER / set_folder_name(one.index)
            _write_pair(folder, split, global_labels_csv(one), per_sequence_labels_csv(one))
    write_whole(predictions / SCORES_FILE, scores_json(scores).encode())
    if report is not None:
        write_report(Path(report), scores, truth, davis_root, beside)
    return scores


def _write_pair(folder: Path, split: str, of_all: str, per_sequence: str) -> None:
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"global_results-{split}.csv", of_all.encode())
    write_whole(folder / f"per-sequence_results-{split}.csv", per_sequence.encode())


def _remove_old(predictions: Path, split: str) -> None:
    if not is_dir(predictions, InputError):
        raise InputError(f"no folder {predictions}: expected predictions in it")
    old = [predictions / SCORES_FILE]
    for name in (f"global_results-{split}.csv", f"per-sequence_results-{split}.csv"):
        old.extend((predictions / CSV_FOLDER).glob(f"*/anno_*/{name}"))
    for path in old:
        with output_errors(path):
            path.unlink(missing_ok=True)
