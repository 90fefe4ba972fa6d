"""MOTS: a text file per video, a line per object and frame, as KITTI MOTS has them."""

from __future__ import annotations

from carvid.errors import UsageError
from carvid.export.exporter import Job, Pictures, Tally, folder_name
from carvid.export.json_stream import write_json
from carvid.export.label_map import has_label_pixels
from carvid.export.tree import OutputTree
from carvid.store.rows import Query, Video

CLASSES = "classes.json"

IDS_PER_CLASS = 1000
"""An object's id in the format is its class's times this, plus its id in the video."""

_IGNORED = 10
"""The class of KITTI MOTS and MOTSChallenge whose masks evaluation passes over."""


class MotsExporter:
    """`<video>.txt`, of lines `frame id class height width rle`, and `classes.json`.

    frame is the frame's index, from 0. id is class * 1000 + the object's id in its video. rle is COCO's compressed
    run-length code of those pixels that are the object's alone, as the masks of a frame must not overlap. A class is a
    query, numbered from 1 in the order of the queries' ids without 10, which the format's evaluation ignores;
    `classes.json` lists each with its query's id and text.
    """

    name = "mots"
    summary = "MOTS text as in KITTI MOTS, each object a track; lossless but for overlaps"
    pictures: Pictures = "unused"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        queries = job.used_queries()
        classes = _classes(queries)
        with tree.text(CLASSES) as file:
            write_json(
                file.write,
                ({"id": classes[query.id], "query_id": query.id, "name": query.text} for query in queries),
            )
            file.write("\n")
        for video in job.videos:
            _check_fits(job, video)
            with tree.text(f"{folder_name(video)}.txt") as file:
                for frame, labelled in job.annotations(video):
                    tally.frames += 1
                    for annotation in filter(has_label_pixels, labelled):
                        tally.masks += 1
                        number = classes[annotation.query_id]
                        file.write(
                            f"{frame.frame_index} {number * IDS_PER_CLASS + annotation.object_id} {number} "
                            f"{frame.height} {frame.width} {annotation.label_rle['counts']}\n"
                        )


def _classes(queries: tuple[Query, ...]) -> dict[int, int]:
    """Query id -> class."""
    return {query.id: place + (place >= _IGNORED) for place, query in enumerate(queries, 1)}


def _check_fits(job: Job, video: Video) -> None:
    highest = max((each.id for each in job.objects(video)), default=0)
    if highest >= IDS_PER_CLASS:
        raise UsageError(
            f"video {video.id} has an object {highest}; MOTS has room for ids up to {IDS_PER_CLASS - 1}: choose "
            "another format (coco, ytvis)"
        )
