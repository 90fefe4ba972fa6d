"""`export_dataset`: from a dataset folder to a folder in a format, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carvid.errors import InputError, UsageError
from carvid.export.export_options import OWN_OPTIONS, ExportOptions
from carvid.export.exporter import Exporter, Job, Tally, folder_name, object_name
from carvid.export.formats import find_format
from carvid.export.json_stream import write_json
from carvid.export.tree import INDEX, MARK, OutputTree
from carvid.store.database import open_dataset
from carvid.store.rows import Query, Video

__all__ = ["ExportOptions", "ExportSummary", "export_dataset"]

INDEX_VERSION = 1


@dataclass(frozen=True)
class ExportSummary:
    """What was written.

    videos: how many are in it. frames, masks, left_out_...: see `Tally`.
    mean_iou_loss, worst_iou_loss: mean and maximum over masks of 1 - IoU of what was written with the mask; None
        where the format loses nothing.
    notes: what a reader should know. skipped: a sentence for each video that is not done and so was not exported.
    """

    format: str
    out: str
    videos: int
    frames: int
    masks: int
    left_out_videos: int
    left_out_frames: int
    left_out_objects: int
    mean_iou_loss: float | None
    worst_iou_loss: float | None
    notes: tuple[str, ...]
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export_dataset(
    dataset: str | os.PathLike[str],
    format_name: str,
    out: str | os.PathLike[str],
    options: ExportOptions | None = None,
) -> ExportSummary:
    """Export the videos of a dataset that are done.

    The dataset is read as it stands at the start; others may write to it meanwhile. `out` appears when it is
    complete. The same database gives the same bytes (with the same versions of Pillow and, for pictures,
    of the decoder).

    Raises:
        UsageError: for an unknown format, options it does not have, or more objects than it can hold.
        InputError: if there is no dataset, no video in it is done, or a source whose pictures are needed is
            missing or has changed.
        OutputError: if `out` exists (unless an export is to be overwritten) or cannot be written.
    """
    options = options or ExportOptions()
    exporter = find_format(format_name)
    pictures = _pictures(exporter, options.pictures)
    _check_own(exporter, options)
    place = Path(out)
    with open_dataset(dataset) as opened:
        videos, skipped = [], []
        for video in opened.videos():
            if video.is_done:
                videos.append(video)
            else:
                skipped.append(_skipped(video))
        if not videos:
            raise InputError(
                f"no video of {dataset} is done ({len(skipped)} are not); run `carvid annotate` to the end"
            )
        job = Job(opened, tuple(videos), pictures, options)
        tally = Tally()
        with OutputTree(place, Path(dataset), overwrite=options.overwrite) as tree:
            exporter.write(job, tree, tally)
            with tree.text(INDEX) as file:
                write_json(file.write, _index(exporter, job))
                file.write("\n")
        corrected = sum(opened.corrected(video.id) for video in videos)
    if corrected:
        tally.note(f"masks corrected by hand: {corrected}; they are exported as corrected")
    loss = tally.iou_loss_sum
    return ExportSummary(
        format=exporter.name,
        out=str(place),
        videos=len(videos) - tally.left_out_videos,
        frames=tally.frames,
        masks=tally.masks,
        left_out_videos=tally.left_out_videos,
        left_out_frames=tally.left_out_frames,
        left_out_objects=tally.left_out_objects,
        mean_iou_loss=None if loss is None else loss / max(1, tally.masks),
        worst_iou_loss=None if loss is None else tally.iou_loss_worst,
        notes=tally.notes,
        skipped=tuple(skipped),
    )


def _pictures(exporter: Exporter, asked: bool | None) -> bool:
    if exporter.pictures == "needed" and asked is False:
        raise UsageError(f"{exporter.name} is made of pictures; leave out --no-images")
    if exporter.pictures == "unused" and asked:
        raise UsageError(f"{exporter.name} holds no pictures; leave out --images")
    return exporter.pictures != "unused" if asked is None else asked


def _check_own(exporter: Exporter, options: ExportOptions) -> None:
    """Raise UsageError for an option that is not the format's."""
    plain = ExportOptions()
    for field, option in OWN_OPTIONS.items():
        # A format that is not carvid's need not say that it has none.
        if getattr(options, field) != getattr(plain, field) and field not in getattr(exporter, "options", ()):
            raise UsageError(f"{exporter.name} has no {option}; leave it out")


def _skipped(video: Video) -> str:
    why = f": {video.error}" if video.error else ""
    return f"video {video.id} ({video.path}) is {video.status}{why}"


def _index(exporter: Exporter, job: Job) -> dict[str, Any]:
    """What the ids in the paths stand for: which folder is which video, which object is which query's."""
    return {MARK: INDEX_VERSION, "format": exporter.name, "videos": _index_videos(job)}


def _index_videos(job: Job) -> Iterator[dict[str, Any]]:
    for video in job.videos:
        yield {
            "id": video.id,
            "folder": folder_name(video),
            "path": video.path,
            "start_frame": video.start_frame,
            "stop_frame": video.stop_frame,
            "frame_rate": None if video.frame_rate is None else str(video.frame_rate),
            "frames": video.frame_count,
            "queries": _index_queries(job, video),
        }


def _index_queries(job: Job, video: Video) -> list[dict[str, Any]]:
    """The objects with their queries, then the queries that have no object."""
    objects = job.objects(video)
    pairs: list[tuple[str | None, Query]] = [(object_name(each.id), each.query) for each in objects]
    found = {each.query.id for each in objects}
    pairs += [(None, query) for query in job.queries(video) if query.id not in found]
    return [{"object": name, "query_id": query.id, "text": query.text} for name, query in pairs]
