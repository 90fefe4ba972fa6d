"""A mask carried from a corrected frame to the frames after or before it, by the motion between frames."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from itertools import takewhile
from typing import Any

import numpy as np

from carvid.desk.edit import short
from carvid.desk.look import done_video
from carvid.desk.stretch import frames_back, frames_of
from carvid.errors import UsageError
from carvid.media.rle import encode_rle
from carvid.motion.edges import refine
from carvid.motion.flow import flows, grey
from carvid.motion.propagate import Carried, at_key, carry, mean_within
from carvid.motion.shots import ShotDetector
from carvid.store.database import Dataset
from carvid.store.reviewed import CORRECTED, touched
from carvid.store.rows import Annotation, Video

FORWARD, BACKWARD = "forward", "backward"
DIRECTIONS = (FORWARD, BACKWARD)

# A mask is lost where the flow on it, from one frame to the next, is as good as nowhere to be trusted.
_GONE = 0.1


def carried_masks(
    dataset: Dataset, video_id: int, frame: int, object_id: int, direction: object, last: int | None
) -> Generator[dict[str, Any], None, None]:
    """The mask of an object in `frame`, carried frame by frame; a row per labelled frame, the nearest first.

    It ends before the next frame where the object's mask was corrected, at a cut, where the mask is lost, or with the
    video; `last`, if given, is the last frame wanted. The last row says why, and at which frame: the one it did not
    reach or, where nothing was in the way, the last one.
    Raises NotFoundError for an unknown video, UsageError for another direction or what has no mask there, InputError
    where the source cannot be read.
    """
    if direction not in DIRECTIONS:
        raise UsageError(f"direction is {short(direction)}; expected one of {', '.join(DIRECTIONS)}")
    video = done_video(dataset, video_id)
    start = _mask_there(dataset, video_id, frame, object_id)
    if start is None or not start.area_px:
        raise UsageError(
            f"object {object_id} has no mask in frame {frame} of video {video_id}: nothing to carry"
        )
    step = 1 if direction == FORWARD else -1
    if last is not None and (last - frame) * step < 0:
        raise UsageError(f"the last frame, {last}, does not lie {direction} of frame {frame}")
    corrected = {
        place
        for (place, number), state in touched(dataset, video_id).items()
        if state == CORRECTED and number == object_id
    }
    ahead = [row.frame_index for row in dataset.frames(video_id)][::step]
    ahead = [index for index in ahead if (index - frame) * step > 0]
    until = next((index for index in ahead if index in corrected), None)
    wanted = list(
        takewhile(lambda index: index != until and (last is None or (last - index) * step >= 0), ahead)
    )
    with closing(_carry(video, start, frame, wanted, step)) as rows:
        for row in rows:
            if "end" not in row:
                now = _mask_there(dataset, video_id, row["frame"], object_id)
                row["revision"] = 0 if now is None else now.revision
            yield row
            if "end" in row:
                return
    after = next(iter(ahead[len(wanted) :]), None)
    if after is not None and after == until:
        yield {"end": CORRECTED, "frame": after}
    else:
        yield {"end": "last", "frame": (wanted or [frame])[-1]}


def _carry(
    video: Video, start: Annotation, frame: int, wanted: list[int], step: int
) -> Generator[dict[str, Any], None, None]:
    """Frame by frame of the source, also over those that are not labelled: motion is found best where it is small."""
    if not wanted:
        return
    goal = wanted[-1]
    frames = frames_of(video, frame, goal) if step > 0 else frames_back(video, goal, frame)
    shots = ShotDetector(causal=True)
    before: np.ndarray[Any, Any] | None = None
    here: Carried = at_key(start.mask()[None].astype(np.float32))
    asked = set(wanted)
    with closing(frames):
        for found in frames:
            *_, is_cut = shots.push(found.image)
            after = grey(found.image)
            if before is not None:
                if is_cut or after.shape != before.shape:
                    yield {"end": "cut", "frame": found.index}
                    return
                flow, _ = flows(after, before)
                here = carry(here, flow)
                # Not sooner: a person looks at all of it before it is kept.
                if mean_within(flow.confidence, here.masks[0]) < _GONE:
                    yield {"end": "lost", "frame": found.index}
                    return
            before = after
            if found.index in asked:
                soft = refine(found.image, here.masks, here.confidence)
                yield {
                    "frame": found.index,
                    "rle": encode_rle(soft[0] > 0.5),
                    "confidence": round(mean_within(here.confidence, here.masks[0]), 3),
                }


def _mask_there(dataset: Dataset, video_id: int, frame: int, object_id: int) -> Annotation | None:
    for _, found in dataset.annotations(video_id, between=(frame, frame)):
        return next((each for each in found if each.object_id == object_id), None)
    return None
