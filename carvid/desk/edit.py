"""What people change: corrections and verdicts, read from what the page sends and written into the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from carvid.desk.desk import Desk
from carvid.desk.look import done_video, told
from carvid.errors import UsageError
from carvid.store.corrections import Change, Corrections
from carvid.store.database import open_dataset
from carvid.store.seen import SeenMask, StaleRevisionError
from carvid.store.verdicts import Verdicts, verdicts_of

T = TypeVar("T")

MOST_BYTES = 64 << 20
"""How long the changes of one correction may be: the masks of some 10,000 frames."""

MOST_INDEX = 2**31
"""Ids and indices are below it."""


class ConflictError(StaleRevisionError):
    """Masks were changed after they were seen. details: what the page shows of those that are there now."""

    def __init__(self, error: StaleRevisionError, conflicts: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(str(error), error.stale)
        self.details = {"conflicts": list(conflicts)}


def correct(desk: Desk, video_id: int, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Write corrections, all or none. Raises ConflictError where a mask has changed meanwhile."""
    changes = [Change(_seen(each), _rle(each.get("rle"))) for each in items(sent, "changes")]
    _check_video(desk, video_id)

    def write() -> list[int]:
        with Corrections(desk.dataset) as corrections:
            return corrections.correct_all(video_id, changes)

    revisions = _or_conflict(desk, video_id, write)
    desk.ranking.changed(video_id, {change.seen.frame_index for change in changes})
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
        raise UsageError(f"verdict is {verdict!r}; expected a text or null")
    _check_video(desk, video_id)
    if "masks" in sent:
        masks = [_seen(each) for each in items(sent, "masks")]

        def write() -> int:
            with Verdicts(desk.dataset) as verdicts:
                return verdicts.give(video_id, masks, verdict)

        return {"masks": _or_conflict(desk, video_id, write)}
    stretch = [whole(sent, name) for name in ("object", "first", "last")]
    with Verdicts(desk.dataset) as verdicts:
        return {"masks": verdicts.give_stretch(video_id, stretch[0], stretch[1], stretch[2], verdict)}


def whole(sent: Mapping[str, Any], name: str) -> int:
    """A whole number that was sent. Raises UsageError for anything else."""
    value = sent.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_INDEX:
        raise UsageError(f"{name} is {_short(value)}; expected a whole number from 0")
    return value


def optional_whole(sent: Mapping[str, Any], name: str) -> int | None:
    """As `whole`; None where nothing or null was sent."""
    return None if sent.get(name) is None else whole(sent, name)


def items(sent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of objects that was sent, with at least one. Raises UsageError for anything else."""
    value = sent.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise UsageError(f"{name} is {_short(value)}; expected a list of at least one object")
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
            f'rle is {_short(sent)}; expected {{"size": [height, width], "counts": text}} or null'
        )
    return {"size": size, "counts": sent["counts"]}


def _check_video(desk: Desk, video_id: int) -> None:
    with open_dataset(desk.dataset) as dataset:
        done_video(dataset, video_id)


def _or_conflict(desk: Desk, video_id: int, write: Callable[[], T]) -> T:
    """What `write` returns. Raises ConflictError, which says what is there now, where it is refused as stale."""
    try:
        return write()
    except StaleRevisionError as error:
        conflicts = []
        with open_dataset(desk.dataset) as dataset:
            for seen in error.stale:
                place = seen.frame_index
                said = verdicts_of(dataset, video_id, place)
                for _, found in dataset.annotations(video_id, between=(place, place)):
                    (now,) = (each for each in found if each.object_id == seen.object_id)
                    verdict = said.get((now.object_id, now.revision))
                    conflicts.append({"frame": place, "current": told(now, verdict)})
        raise ConflictError(error, conflicts) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
