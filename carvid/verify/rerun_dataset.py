"""Random frames of a dataset, segmented again; what was corrected by hand since does not count."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from carvid.engines import EngineModel
from carvid.errors import InputError, UsageError
from carvid.media.rle import decode_rle
from carvid.recipe.record import differences
from carvid.store.database import Dataset
from carvid.store.model_masks import masks_of_frame
from carvid.store.rows import FrameRow, Video
from carvid.verify.agreement_again import NAME, Agreement, Outcome, is_equal
from carvid.verify.asked_again import AloneEngine, Made, frame_of, load_again, made_otherwise, sample
from carvid.verify.check import OK, UNCHECKED, Check
from carvid.verify.dataset_folder import DatasetFolder


def rerun_dataset(folder: DatasetFolder, count: int, seed: int, device: str | None) -> Check:
    """Make `count` random frames of a dataset again and compare them.

    folder: after its `checks`. device: see `load_again`.
    """
    if not all(each.check.state == OK for each in folder.weights):
        return Check(NAME, UNCHECKED, "the weights are not all here as recorded")
    description = {name: value for name, value in folder.settings.items() if name != "stream"}
    stream = folder.settings.get("stream")
    notes: list[str] = []
    try:
        sam = description.get("sam")
        if sam is not None and sam["options"].get("every", 1) != 1:
            why = "the SAM refined some frames alone, and a dataset does not tell which"
            return Check(NAME, UNCHECKED, why)
        picked = sample(_alone(folder, notes), count, random.Random(seed))
        if not picked:
            return Check(
                NAME, UNCHECKED, "; ".join(["there is no frame that can be made again by itself", *notes])
            )
        model = load_again(description, folder.weights, device)
        if changed := differences(description, model.describe()):
            return Check(
                NAME, UNCHECKED, f"the recorded settings come back otherwise: {'; '.join(changed[:3])}"
            )
        picked.sort(key=lambda each: (each[0].id, each[1].frame_index))
        return _compared(folder, model, stream if isinstance(stream, dict) else {}, picked, notes)
    except (UsageError, InputError) as error:
        return Check(NAME, UNCHECKED, str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Check(NAME, UNCHECKED, f"the dataset's settings are damaged ({error!r})")


def _alone(folder: DatasetFolder, notes: list[str]) -> Iterator[tuple[Video, FrameRow]]:
    """The frames that the engine was run on, of videos whose sources are as recorded. notes: gets why there are
    others."""
    carried = lost = 0
    for video in folder.dataset.videos():
        if video.is_done and video.id not in folder.sourced:
            lost += 1
            continue
        for frame in folder.dataset.frames(video.id):
            if frame.origin is None or frame.origin.key:
                yield video, frame
            else:
                carried += 1
    if carried:
        notes.append(f"{carried} frames whose masks were carried from key frames were not made again")
    if lost:
        notes.append(f"frames of {lost} videos whose sources are not here as recorded were not made again")


def _compared(
    folder: DatasetFolder,
    model: EngineModel,
    stream: dict[str, Any],
    picked: list[tuple[Video, FrameRow]],
    notes: list[str],
) -> Check:
    agreement, engines = Agreement(), dict[int, AloneEngine]()
    left_out = 0
    for video, row in picked:
        if video.id not in engines:
            engines = {video.id: _engine(folder.dataset, model, video.id)}
        engine = engines[video.id]
        stored, places, is_part = _stored(folder.dataset, row, engine.speaks)
        left_out += is_part
        if stored.is_empty:
            continue
        where = f"video {video.id}, frame {row.frame_index}"
        for from_start in (False, True):
            if not from_start and video.damage:
                continue
            frame = frame_of(
                Path(video.source),
                row.frame_index,
                reader=stream.get("reader", "pyav"),
                start=video.start_frame,
                every=stream.get("every", 1),
                from_start=from_start,
            )
            if frame is None:
                if from_start:
                    agreement.miss(where, "the source gives no such frame")
                continue
            made = _made(engine.run(frame), places, stored)
            if from_start or is_equal(stored, made):
                agreement.add(where, stored, made)
                break
    if left_out:
        notes.append(
            f"in {left_out} of {len(picked)} frames not every object's mask was compared: tracks, and what words "
            "choose, depend on other frames too"
        )
    # Nothing tells with which versions a dataset's videos were labelled, nor on which machines.
    otherwise = made_otherwise({}, folder.settings.get("device"), model.describe().get("device"))
    return agreement.check(otherwise, notes)


def _engine(dataset: Dataset, model: EngineModel, video_id: int) -> AloneEngine:
    return AloneEngine(model, [query.text for query in dataset.queries(video_id)])


def _stored(dataset: Dataset, row: FrameRow, speaks: list[bool]) -> tuple[Outcome, dict[int, int], bool]:
    """What of a frame can be made again from it alone, the place of each object's query, and whether it lacks masks."""
    queries = [query.id for query in dataset.queries(row.video_id)]
    objects = {each.id: each for each in dataset.objects(row.video_id)}
    places = {number: queries.index(each.query.id) for number, each in objects.items()}
    masks, scores, is_part = {}, {}, False
    for one in masks_of_frame(dataset, row):
        who, chosen = f"object {one.object_id}", speaks[places[one.object_id]]
        if objects[one.object_id].is_track or chosen:
            is_part = True
        else:
            masks[who] = decode_rle(one.rle)
            if not any(speaks):
                masks[f"label {one.object_id}"] = decode_rle(one.label_rle)
        # Where words leave nothing of what was found, the score says so too.
        if one.score is not None and (one.area_px or not chosen):
            scores[who] = one.score
    return Outcome(masks, scores), places, is_part


def _made(made: Made, places: dict[int, int], stored: Outcome) -> Outcome:
    """places: of each object's query."""
    masks, scores = {}, {}
    for number, place in places.items():
        at = made.places[place]
        masks[f"object {number}"] = made.result.query_masks[at]
        masks[f"label {number}"] = made.result.label_map == number
        scores[f"object {number}"] = float(made.result.queries[at].score)
    return Outcome(
        {name: masks[name] for name in stored.masks}, {name: scores[name] for name in stored.scores}
    )
