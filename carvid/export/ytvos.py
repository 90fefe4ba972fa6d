"""YouTube-VOS and Ref-YouTube-VOS: a tree of pictures and palette PNGs, and what is referred to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from carvid.export.exporter import Job, Pictures, Tally, folder_name
from carvid.export.json_stream import Members, write_json
from carvid.export.label_map import check_fits, has_label_pixels, label_map
from carvid.export.pictures import encode_jpeg
from carvid.export.tree import OutputTree
from carvid.media.palette import encode_label_png
from carvid.sinks.masks import MAX_LABELS
from carvid.store.database import Query, Video

SPLIT = "train"


class YouTubeVosExporter:
    """`train/JPEGImages/<video>/<frame>.jpg`, `train/Annotations/<video>/<frame>.png`, `train/meta.json` and
    `meta_expressions/train/meta_expressions.json`.

    A label is the query's place in its video, from 1. A query that no label map shows is left out of both
    JSON files, as readers look for a frame that shows the object until they find one.
    """

    name = "ytvos"
    summary = "YouTube-VOS and Ref-YouTube-VOS tree with meta_expressions.json"
    pictures: Pictures = "optional"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        shown = {video.id: _write_masks(job, video, tree, tally) for video in job.videos}
        if job.pictures:
            for video in job.videos:
                namer = job.namer(video)
                for frame in job.pictured(video):
                    path = f"{SPLIT}/JPEGImages/{namer.path(frame.row, '.jpg')}"
                    tree.write(path, encode_jpeg(frame.image))
        for path, entry in (
            (f"{SPLIT}/meta.json", _meta),
            (f"meta_expressions/{SPLIT}/meta_expressions.json", _expressions),
        ):
            videos = Members((folder_name(video), entry(job, video, shown[video.id])) for video in job.videos)
            with tree.text(path) as file:
                write_json(file.write, {"videos": videos})
                file.write("\n")


def _write_masks(job: Job, video: Video, tree: OutputTree, tally: Tally) -> dict[int, Query]:
    """Write a video's label maps; the objects they show: label -> query."""
    queries = job.queries(video)
    check_fits(video, queries, MAX_LABELS)
    labels = {query.id: position + 1 for position, query in enumerate(queries)}
    namer = job.namer(video)
    seen: set[int] = set()
    for frame, labelled in job.annotations(video):
        found = label_map(frame, labelled, labels)
        tree.write(f"{SPLIT}/Annotations/{namer.path(frame, '.png')}", encode_label_png(found))
        visible = {annotation.query_id for annotation in labelled if has_label_pixels(annotation)}
        seen |= visible
        tally.frames += 1
        tally.masks += len(visible)
    for query in queries:
        if query.id not in seen:
            tally.note(f"video {video.id}: no frame shows {query.text!r}; it is no object of the export")
    return {labels[query.id]: query for query in queries if query.id in seen}


def _meta(job: Job, video: Video, shown: dict[int, Query]) -> dict[str, Any]:
    return {
        "objects": {
            str(label): {"category": query.text, "frames": _frames_with(job, video, query)}
            for label, query in shown.items()
        }
    }


def _frames_with(job: Job, video: Video, query: Query) -> Iterator[str]:
    namer = job.namer(video)
    for frame, labelled in job.annotations(video):
        if any(a.query_id == query.id and has_label_pixels(a) for a in labelled):
            yield namer.stem(frame)


def _expressions(job: Job, video: Video, shown: dict[int, Query]) -> dict[str, Any]:
    namer = job.namer(video)
    return {
        "expressions": {
            str(place): {"exp": query.text, "obj_id": str(label)}
            for place, (label, query) in enumerate(shown.items())
        },
        "frames": (namer.stem(frame) for frame in job.frames(video)),
    }
