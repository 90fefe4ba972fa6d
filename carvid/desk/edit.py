"""What people change: corrections and verdicts, read from what the page sends and written into the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from carvid.desk.desk import Desk
from carvid.desk.look import done_video, told
from carvid.errors import UsageError
from carvid.serve.answers import ConflictError
from carvid.store.corrections import Change, Corrections
from carvid.store.database import open_dataset
from carvid.store.seen import RelabelledError, SeenMask, StaleRevisionError
from carvid.store.verdicts import Verdicts, verdicts_of

T = TypeVar("T")

MOST_BYTES = 64 << 20
"""How long the changes of one correction may be: the masks of some 10,000 frames."""

MOST_INDEX = 2**31
"""Ids and indices are below it."""


def correct(desk: Desk, video_id: int, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Write corrections, all or none. Raises ConflictError where a mask has changed meanwhile."""
    changes = [Change(_seen(each), _rle(each.get("rle"))) for each in items(sent, "changes")]
    labelling = optional_whole(sent, "labelling")
    _check_video(desk, video_id)

    def write() -> list[int]:
        with Corrections(desk.dataset) as corrections:
            return corrections.correct_all(video_id, changes, labelling=labelling)

    revisions = _or_conflict(desk, video_id, [change.seen for change in changes], write)
    return {
        "changes": [
            {"frame": change.seen.frame_index, "object": change.seen.object_id, "revision": revision}
            for change, revision in zip(changes, revisions, strict=True)
        ]
    }


def give_verdict(desk: Desk, video_id: int, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Write a verdict on some masks, or on all of an object's in a stretch of frames as they are now."""
    verdict = sent.get("verdict")
    if verdict is not None and not isinstance(verdict, str):
        raise UsageError(f"verdict is {short(verdict)}; expected a text or null")
    labelling = optional_whole(sent, "labelling")
    _check_video(desk, video_id)
    if "masks" in sent:
        masks = [_seen(each) for each in items(sent, "masks")]

        def write() -> int:
            with Verdicts(desk.dataset) as verdicts:
                return verdicts.give(video_id, masks, verdict, labelling=labelling)

        return {"masks": _or_conflict(desk, video_id, masks, write)}
    number, first, last = (whole(sent, name) for name in ("object", "first", "last"))

    def write_stretch() -> int:
        with Verdicts(desk.dataset) as verdicts:
            return verdicts.give_stretch(video_id, number, first, last, verdict, labelling=labelling)

    return {"masks": _or_conflict(desk, video_id, [], write_stretch)}


def whole(sent: Mapping[str, Any], name: str) -> int:
    """A whole number that was sent. Raises UsageError for anything else."""
    value = sent.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_INDEX:
        raise UsageError(f"{name} is {short(value)}; expected a whole number from 0")
    return value


def number(sent: Mapping[str, Any], name: str) -> float:
    """A number that was sent. Raises UsageError for anything else, and for what no picture or threshold needs."""
    value = sent.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < MOST_INDEX:
        raise UsageError(f"{name} is {short(value)}; expected a number")
    return float(value)


def optional_whole(sent: Mapping[str, Any], name: str) -> int | None:
    """As `whole`; None where nothing or null was sent."""
    return None if sent.get(name) is None else whole(sent, name)


def items(sent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects that was sent, with at least one. Raises UsageError for anything else."""
    value = sent.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise UsageError(f"{name} is {short(value)}; expected a list of at least one object")
    return value


def _seen(sent: Mapping[str, Any]) -> SeenMask:
    return SeenMask(whole(sent, "frame"), whole(sent, "object"), whole(sent, "revision"))


def _rle(sent: Any) -> Any:
    if sent is None:
        return None
    size = sent.get("size") if isinstance(sent, dict) else None
    sound = isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)
    if not sound or not isinstance(sent.get("counts"), str):
        raise UsageError(
            f'rle is {short(sent)}; expected {{"size": [height, width], "counts": text}} or null'
        )
    return {"size": size, "counts": sent["counts"]}


def _check_video(desk: Desk, video_id: int) -> None:
    with open_dataset(desk.dataset) as dataset:
        done_video(dataset, video_id)


def _or_conflict(desk: Desk, video_id: int, masks: Sequence[SeenMask], write: Callable[[], T]) -> T:
    """What `write` returns. Raises ConflictError, which says what is there now, where the masks have changed."""
    try:
        return write()
    except StaleRevisionError as error:
        raise ConflictError(str(error), {"conflicts": _now(desk, video_id, error.stale)}) from error
    except RelabelledError as error:
        now = {"conflicts": _now(desk, video_id, masks), "labelling": error.labelling}
        raise ConflictError(str(error), now) from error


def _now(desk: Desk, video_id: int, masks: Sequence[SeenMask]) -> list[dict[str, Any]]:
    """Of these masks, those that are there now."""
    found = []
    with open_dataset(desk.dataset) as dataset:
        for seen in masks:
            place = seen.frame_index
            said = verdicts_of(dataset, video_id, place)
            for _, there in dataset.annotations(video_id, between=(place, place)):
                found += [
                    {"frame": place, "current": told(each, said.get((each.object_id, each.revision)))}
                    for each in there
                    if each.object_id == seen.object_id
                ]
    return found


def short(value: Any) -> str:
    """A value for a message, however long it is."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
