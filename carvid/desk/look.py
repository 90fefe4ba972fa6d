"""What the page shows: videos, objects, masks and what was said of them, as plain data."""

from __future__ import annotations

from typing import Any

import carvid
from carvid.desk.desk import Desk
from carvid.serve.answers import NotFoundError
from carvid.store.checks import NUMBER
from carvid.store.database import Dataset, open_dataset
from carvid.store.reviewed import STATES, UNREVIEWED, counts, object_counts, progress, reviewed_masks
from carvid.store.rows import Annotation, Video
from carvid.store.seen import labelling_of
from carvid.store.verdicts import verdicts_of

# One character for each state, for the timeline.
_MARKS = {state: "." if state == UNREVIEWED else state[0] for state in STATES}
_DIGITS = 3


def facts(desk: Desk) -> dict[str, Any]:
    """The dataset, and what can be done with it here."""
    with open_dataset(desk.dataset) as dataset:
        theta = dataset.setting("settings", "theta", NUMBER) if dataset.settings() else None
        videos, begun = sum(1 for _ in dataset.videos()), dataset.meta().get("created", "")
    lent = desk.lent
    ask = (
        None
        if lent is None
        else {"model": lent.recipe.model or lent.recipe.preset, "theta": lent.recipe.theta}
    )
    return {
        "name": desk.dataset.resolve().name,
        # The same wherever the dataset lies, and another one for another dataset in its place.
        "id": f"{desk.dataset.resolve().name} {begun}",
        "videos": videos,
        "theta": theta,
        "version": carvid.__version__,
        "ask": ask,
        "click": lent is not None and lent.recipe.sam is not None,
    }


def videos(desk: Desk) -> dict[str, Any]:
    """All videos, each with how far it is reviewed."""
    with open_dataset(desk.dataset) as dataset:
        said, objects = counts(dataset), object_counts(dataset)
        return {
            "videos": [
                {
                    "id": video.id,
                    "path": video.path,
                    "status": video.status,
                    "error": video.error,
                    "frames": video.frame_count,
                    "objects": objects.get(video.id, 0),
                    "masks": objects.get(video.id, 0) * (video.frame_count or 0),
                    "reviewed": {state: said[video.id][state] for state in STATES if state != UNREVIEWED},
                    "ranked": desk.ranking.is_ranked(video.id),
                }
                for video in dataset.videos()
            ]
        }


def video(desk: Desk, video_id: int) -> dict[str, Any]:
    """A video that is done: its labelled frames and its objects."""
    with open_dataset(desk.dataset) as dataset:
        found = done_video(dataset, video_id)
        frames = list(dataset.frames(video_id))
        seconds = [frame.pts_seconds for frame in frames]
        return {
            "id": found.id,
            "labelling": labelling_of(dataset, video_id),
            "path": found.path,
            "width": found.width,
            "height": found.height,
            "frame_rate": None if found.frame_rate is None else float(found.frame_rate),
            "frames": [frame.frame_index for frame in frames],
            "seconds": None if None in seconds else seconds,
            "objects": [
                {"id": each.id, "query": each.query.text, "is_track": each.is_track}
                for each in dataset.objects(video_id)
            ],
            "damage": [str(stretch) for stretch in found.damage],
        }


def timeline(desk: Desk, video_id: int) -> dict[str, Any]:
    """Of each object, frame by frame: score, presence, what was said, and how suspicious it is."""
    with open_dataset(desk.dataset) as dataset:
        done_video(dataset, video_id)
        numbers = [each.id for each in dataset.objects(video_id)]
        by_object: dict[int, list[Any]] = {number: [] for number in numbers}
        for mask in reviewed_masks(dataset, video_id):
            by_object[mask.object_id].append(mask)
        suspicion = desk.ranking.totals(dataset, video_id)
    return {
        "objects": [
            {
                "id": number,
                "scores": [None if mask.score is None else round(mask.score, _DIGITS) for mask in masks],
                "present": "".join("1" if mask.present else "0" for mask in masks),
                "review": "".join(_MARKS[mask.state] for mask in masks),
                "suspicion": None if suspicion is None else suspicion[number],
            }
            for number, masks in by_object.items()
        ]
    }


def masks(desk: Desk, video_id: int, frame_index: int) -> dict[str, Any]:
    """The newest mask of each object in a labelled frame."""
    with open_dataset(desk.dataset) as dataset:
        done_video(dataset, video_id)
        for _, found in dataset.annotations(video_id, between=(frame_index, frame_index)):
            said = verdicts_of(dataset, video_id, frame_index)
            return {"objects": [told(each, said.get((each.object_id, each.revision))) for each in found]}
    raise NotFoundError(f"frame {frame_index} of video {video_id} is not labelled")


def told(annotation: Annotation, verdict: str | None) -> dict[str, Any]:
    """A mask as plain data, with what was said of it."""
    return {
        "object": annotation.object_id,
        "revision": annotation.revision,
        "source": annotation.source,
        "created": annotation.created,
        "score": annotation.score,
        "present": annotation.present,
        "area_px": annotation.area_px,
        "rle": annotation.rle,
        "verdict": verdict,
    }


def team(desk: Desk) -> dict[str, Any]:
    """How far each query of each video is reviewed."""
    with open_dataset(desk.dataset) as dataset:
        paths = {each.id: each.path for each in dataset.videos()}
        return {
            "videos": [
                {
                    "video": video_id,
                    "path": paths[video_id],
                    "queries": [
                        {
                            "query": row.query,
                            "masks": row.masks,
                            **{state: row.states[state] for state in STATES},
                        }
                        for row in rows
                    ],
                }
                for video_id, rows in progress(dataset)
            ]
        }


def done_video(dataset: Dataset, video_id: int) -> Video:
    """A video that is labelled. Raises NotFoundError for another one."""
    found = dataset.video(video_id)
    if found is None or not found.is_done:
        why = "there is none with that id" if found is None else f"it is {found.status}"
        raise NotFoundError(f"video {video_id} is not labelled: {why}")
    return found
