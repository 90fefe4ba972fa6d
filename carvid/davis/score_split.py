"""Scores the predictions for a split, its videos spread over processes. Nothing is kept from call to call."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2

from carvid.davis.averages import average_objects, average_sets, bootstrap
from carvid.davis.dataset import GroundTruth
from carvid.davis.predictions import MissingFrames, PredictionSet, find_prediction_sets, frame_problems
from carvid.davis.protocols import PROTOCOLS, Protocol
from carvid.davis.score_video import VideoOutcome, VideoTask, score_video
from carvid.davis.scores import ProtocolScore, Scores, SetScore, VideoScore
from carvid.errors import CarvidError, InputError, UsageError
from carvid.problems import listing, refuse_if_any

PREDICTION_REMEDY = (
    "Expected one palette PNG per annotated frame, of the annotation's size, label = object id. "
    "Missing frames can be scored as empty masks with --missing empty."
)


def score_predictions(
    truth: GroundTruth,
    predictions: Path,
    *,
    sets: Sequence[int] | None = None,
    missing: MissingFrames = "refuse",
    workers: int | None = None,
    frames: Mapping[str, tuple[Path, ...]] | None = None,
    tracks: bool = False,
) -> Scores:
    """J and F of every object of every video and set, under both protocols.

    predictions: see `carvid.davis.predictions`. sets: by default those found. workers: how many processes share
    the videos; one per usable processor by default, and with 1 no extra process.
    frames: the images of each video by its name (see `carvid.davis.dataset.read_frames`), which ask for temporal
    consistency. tracks: asks for HOTA and IDF1.

    Raises InputError naming the files for predictions that are missing, extra, unreadable or of another size,
    and when neither protocol accepts the labels. Where only one does, the result has the other as refused.
    The extra processes import the caller's main module: a script needs its `__main__` guard.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} worker processes: expected at least 1")
    found = find_prediction_sets(predictions, sets, [video.name for video in truth.videos])
    heading = f"predictions in {predictions} cannot be scored"
    refuse_if_any(frame_problems(found, truth.videos, missing), heading, PREDICTION_REMEDY)
    tasks = [
        VideoTask(video, found, None if frames is None else frames[video.name], tracks)
        for video in truth.videos
    ]
    results = _score_videos(tasks, workers)
    outcomes = {
        one.index: [per_set[place] for _, per_set in results] for place, one in enumerate(found)
    }  # set -> one outcome per video
    problems = [problem for of_set in outcomes.values() for one in of_set for problem in one.problems]
    # Every set reports the problems of the annotations.
    refuse_if_any(list(dict.fromkeys(problems)), heading, PREDICTION_REMEDY)
    set_scores = tuple(_set_score(one, truth, outcomes[one.index]) for one in found)
    scores = Scores(
        split=truth.split,
        annotations=truth.folder,
        predictions=predictions,
        sets=set_scores,
        overall={protocol: _overall(protocol, set_scores) for protocol in PROTOCOLS},
        annotation_sha256={
            video.name: digest for video, (digest, _) in zip(truth.videos, results, strict=True)
        },
    )
    if not any(score.videos for one in set_scores for score in one.protocols.values()):
        raise InputError(f"{heading}: neither protocol accepts them\n  {listing(scores.refusals)}")
    return scores


def _score_videos(
    tasks: Sequence[VideoTask], workers: int | None
) -> list[tuple[str, tuple[VideoOutcome, ...]]]:
    count = min(_usable_processors() if workers is None else workers, len(tasks))
    if count <= 1:
        return [score_video(task) for task in tasks]
    # Longest first, so that no process is left alone with a long video at the end.
    order = sorted(range(len(tasks)), key=lambda place: -len(tasks[place].video.annotation_paths))
    # spawn: a fork of a process with threads (torch's, OpenCV's) can hang.
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        futures = {place: pool.submit(score_video, tasks[place]) for place in order}
        return [futures[place].result() for place in range(len(tasks))]
    except BrokenProcessPool as error:
        raise CarvidError(
            "a scoring process died (out of memory, or a script without a __main__ guard); "
            "with one worker, scoring needs no extra process"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _set_score(one: PredictionSet, truth: GroundTruth, outcomes: Sequence[VideoOutcome]) -> SetScore:
    return SetScore(
        index=one.index,
        folder=one.folder,
        protocols={protocol: _protocol_score(protocol, truth, outcomes) for protocol in PROTOCOLS},
        labels={video.name: outcome.labels for video, outcome in zip(truth.videos, outcomes, strict=True)},
        missing_frames=sum(outcome.missing_frames for outcome in outcomes),
        prediction_sha256={
            video.name: outcome.sha256 for video, outcome in zip(truth.videos, outcomes, strict=True)
        },
    )


def _protocol_score(
    protocol: Protocol, truth: GroundTruth, outcomes: Sequence[VideoOutcome]
) -> ProtocolScore:
    refused = [outcome.refused[protocol] for outcome in outcomes if protocol in outcome.refused]
    if refused:
        return ProtocolScore(protocol, refused=listing(refused, "; ", most=5))
    left_out = tuple(outcome.left_out[protocol] for outcome in outcomes if protocol in outcome.left_out)
    if len(left_out) == len(outcomes):
        return ProtocolScore(protocol, refused=listing(left_out, "; ", most=5))
    videos = tuple(
        VideoScore(
            video=video.name,
            frame_ids=video.frame_ids[1:-1] if protocol == "identity" else video.frame_ids,
            objects=outcome.objects[protocol],
            averages=average_objects(outcome.objects[protocol]),
        )
        for video, outcome in zip(truth.videos, outcomes, strict=True)
        if protocol not in outcome.left_out
    )
    averages = average_objects([score for video in videos for score in video.objects])
    interval = bootstrap([[video.objects for video in videos]])
    return ProtocolScore(protocol, videos, averages, interval, left_out=left_out)


def _overall(protocol: Protocol, sets: Sequence[SetScore]) -> ProtocolScore:
    """The mean over sets; refused when a set is, since the mean of the others would be a different figure."""
    of_sets = [one.protocols[protocol] for one in sets]
    refused = [str(one.index) for one in sets if one.protocols[protocol].refused is not None]
    if refused:
        return ProtocolScore(protocol, refused=f"not scored in set {', '.join(refused)}")
    averages = average_sets([score.averages for score in of_sets if score.averages is not None])
    by_set = [[video.objects for video in score.videos] for score in of_sets]
    # How long a video is does not depend on the set.
    return ProtocolScore(protocol, (), averages, bootstrap(by_set), left_out=of_sets[0].left_out)
