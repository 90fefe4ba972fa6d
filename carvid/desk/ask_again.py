"""Asking the model again, with another phrase or threshold, for some frames; or a SAM what lies at some points."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any

from carvid.desk.desk import Desk
from carvid.desk.edit import items, number, short, whole
from carvid.desk.look import done_video
from carvid.desk.stretch import frames_of
from carvid.errors import UsageError, WeightsError
from carvid.media.rle import encode_rle
from carvid.serve.answers import NotFoundError
from carvid.serve.lent_model import LentModel
from carvid.serve.segment import ImageSegmenter
from carvid.store.checks import COUNT
from carvid.store.database import Dataset, open_dataset
from carvid.store.rows import Video
from carvid.wording import checked_queries


def asked_masks(desk: Desk, video_id: int, sent: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
    """The model's masks for `query` in the labelled frames from `first` to `last`, by frame; then where it ended.

    Raises NotFoundError for an unknown video, UsageError for what cannot be asked, WeightsError where there is no
    model, InputError where the source cannot be read.
    """
    object_id, first, last = (whole(sent, name) for name in ("object", "first", "last"))
    query, theta = sent.get("query"), sent.get("theta")
    if not isinstance(query, str):
        raise UsageError(f"query is {short(query)}; expected a phrase")
    theta = None if theta is None else number(sent, "theta")
    if last < first:
        raise UsageError(f"the last frame, {last}, comes before the first one, {first}")
    checked_queries([query])
    lent = _lent(desk)
    with open_dataset(desk.dataset) as dataset:
        video = done_video(dataset, video_id)
        revisions = _revisions(dataset, video, object_id, first, last)
        labelled = list(revisions)
        every = dataset.setting("stream", "every", COUNT)
        frames = frames_of(video, labelled[0], labelled[-1], every=max(1, every))
        results = ImageSegmenter(lent).run(frames, [query], theta)
        with closing(frames), closing(results):
            for result in results:
                if result.index in revisions:
                    (verdict,) = result.queries
                    yield {
                        "frame": result.index,
                        "revision": revisions[result.index],
                        "rle": encode_rle(result.query_masks[0]),
                        "score": round(verdict.score, 4),
                        "present": verdict.present,
                    }
        yield {"end": "last", "frame": labelled[-1]}


def clicked_mask(desk: Desk, video_id: int, sent: Mapping[str, Any]) -> dict[str, Any]:
    """The mask that a SAM finds at points inside it and not at points outside it; raises as `asked_masks`."""
    frame = whole(sent, "frame")
    points = [_point(each) for each in items(sent, "points")]
    lent = _lent(desk)
    if lent.recipe.sam is None:
        raise WeightsError("no SAM is named; start `carvid serve` with --sam, such as --sam sam-vit-b")
    with open_dataset(desk.dataset) as dataset:
        video = done_video(dataset, video_id)
    (found,) = frames_of(video, frame, frame)
    with lent.turn:
        mask, score = lent.get().click(found.image, points)
    return {"rle": encode_rle(mask), "score": round(score, 4)}


def _lent(desk: Desk) -> LentModel:
    if desk.lent is None:
        raise WeightsError("no model can be asked: the dataset names none; start `carvid serve` with --model")
    return desk.lent


def _revisions(dataset: Dataset, video: Video, object_id: int, first: int, last: int) -> dict[int, int]:
    """Frame index -> revision of the object's mask, of the labelled frames of a stretch."""
    if object_id not in {each.id for each in dataset.objects(video.id)}:
        raise NotFoundError(f"video {video.id} has no object {object_id}")
    found = {
        frame.frame_index: next(each.revision for each in masks if each.object_id == object_id)
        for frame, masks in dataset.annotations(video.id, between=(first, last))
    }
    if not found:
        raise UsageError(f"no frame from {first} to {last} of video {video.id} is labelled")
    return found


def _point(sent: Mapping[str, Any]) -> tuple[float, float, bool]:
    inside = sent.get("inside", True)
    if not isinstance(inside, bool):
        raise UsageError(f"inside is {short(inside)}; expected true or false")
    return number(sent, "x"), number(sent, "y"), inside
