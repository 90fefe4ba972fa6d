"""The checks of a dataset of `carvid annotate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from carvid.errors import InputError
from carvid.media.rle import bounding_box_xywh, decode_rle
from carvid.store.checks import TEXT, table
from carvid.store.database import Dataset
from carvid.store.model_masks import ModelMask, model_masks
from carvid.store.rows import FrameRow, Video
from carvid.verify.check import DIFFERS, OK, UNCHECKED, Check, Faults
from carvid.verify.settings_hash import check_dataset_settings
from carvid.verify.source_hash import check_source
from carvid.verify.weights_hash import FoundWeights, find_weights


class DatasetFolder:
    """A dataset, opened for reading by the caller.

    weights: found by `checks`, as are `sourced`, the ids of the videos whose sources are as recorded.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Raises InputError where the settings cannot be read."""
        self.dataset = dataset
        self.settings: Mapping[str, Any] = dataset.settings()
        self.weights: tuple[FoundWeights, ...] = ()
        self.sourced: set[int] = set()

    def checks(self) -> Iterator[Check]:
        """Check weights, settings, and of each video its source and its masks."""
        self.weights = find_weights(self.settings)
        yield from (each.check for each in self.weights)
        sha256 = next((row[0] for row in self.dataset.rows(table("settings", sha256=TEXT), "settings")), None)
        yield check_dataset_settings(self.settings, sha256, self.dataset.meta().get("carvid"))
        for video in self.dataset.videos():
            name = f"video {video.id} ({video.path})"
            if not video.is_done:
                yield Check(name, UNCHECKED, f"it is {video.status}, so there is nothing recorded of it")
                continue
            source = check_source(f"{name} source", Path(video.source), video.size_bytes, video.sha256)
            if source.state == OK:
                self.sourced.add(video.id)
            yield source
            yield self._masks(f"{name} masks", video)

    def _masks(self, name: str, video: Video) -> Check:
        faults = Faults()
        frames = masks = corrected = 0
        try:
            objects = {each.id: each.is_track for each in self.dataset.objects(video.id)}
            for frame, found in model_masks(self.dataset, video.id):
                frames, masks = frames + 1, masks + len(found)
                faults.add(_frame_faults(frame, found, objects))
            corrected = self.dataset.corrected(video.id)
        except InputError as error:
            return Check(name, DIFFERS, str(error))
        if frames != video.frame_count:
            faults.add([f"there are {frames} frames, {video.frame_count} are recorded"])
        by_hand = f"; {corrected} corrected by hand, left alone" if corrected else ""
        return faults.check(name, f"{masks} in {frames} frames: codes, areas and boxes agree{by_hand}")


def _frame_faults(
    frame: FrameRow, found: tuple[ModelMask, ...], objects: Mapping[int, bool]
) -> Iterator[str]:
    """Where the model's masks in a frame disagree with themselves. objects: by id, whether it is a track."""
    where = f"frame {frame.frame_index}"
    ids = [one.object_id for one in found]
    expected = [number for number, is_track in objects.items() if not is_track]
    if not set(expected) <= set(ids) <= set(objects):
        yield f"{where} has masks of the objects {ids}, expected {expected or list(objects)}"
    taken = np.zeros((frame.height, frame.width), np.bool_)
    for one in found:
        who = f"{where}, object {one.object_id}"
        if one.rle["size"] != [frame.height, frame.width]:
            yield f"{who} has {one.rle['size']} px, the frame {[frame.height, frame.width]}"
            continue
        try:
            mask, part = decode_rle(one.rle), decode_rle(one.label_rle)
        except InputError as error:
            yield f"{who} has a {error}"
            continue
        area_px, box = int(np.count_nonzero(mask)), bounding_box_xywh(mask)
        if (one.area_px, one.box_xywh) != (area_px, box):
            yield f"{who} has {one.area_px} px in the box {one.box_xywh}, its mask {area_px} px in {box}"
        if (part & ~mask).any():
            yield f"{who} has a label beyond its mask"
        if (part & taken).any():
            yield f"{who} has a label where another object has its own"
        taken |= part
