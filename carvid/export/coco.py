"""COCO: every frame an image, every query a category, masks as compressed run-length codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from carvid.export.exporter import Job, Namer, Pictures, Tally
from carvid.export.json_stream import write_json
from carvid.export.pictures import encode_jpeg
from carvid.export.tree import OutputTree
from carvid.store.database import FrameRow, Video
from carvid.store.schema import HAND

ANNOTATIONS = "annotations.json"
IMAGES = "images"


class CocoExporter:
    """`annotations.json` and `images/<video>/<frame>.jpg`.

    Beside COCO's own keys an image has `video_id` and `frame_index`, an annotation `video_id`, `score` and
    `instance_id` (the object's id in its video, the same in all frames), and `videos` lists the videos. A mask
    that was corrected by hand has `"source": "hand"` in place of `score`. Only masks that are not empty are
    annotations.
    """

    name = "coco"
    summary = "COCO instances, each frame an image; masks as compressed RLE, lossless"
    pictures: Pictures = "optional"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        if job.pictures:
            for video in job.videos:
                namer = job.namer(video)
                for frame in job.pictured(video):
                    tree.write(f"{IMAGES}/{namer.path(frame.row, '.jpg')}", encode_jpeg(frame.image))
        with tree.text(ANNOTATIONS) as file:
            write_json(
                file.write,
                {
                    "info": {"description": "masks by carvid, each frame of a video an image"},
                    "videos": _videos(job),
                    "categories": _categories(job),
                    "images": _images(job),
                    "annotations": _annotations(job, tally),
                },
            )
            file.write("\n")


def _videos(job: Job) -> Iterator[dict[str, Any]]:
    for video in job.videos:
        yield {"id": video.id, "name": video.path, "width": video.width, "height": video.height}


def _categories(job: Job) -> Iterator[dict[str, Any]]:
    for query in job.used_queries():
        yield {"id": query.id, "name": query.text, "supercategory": ""}


def _numbered(job: Job) -> Iterator[tuple[int, Video, Namer, FrameRow]]:
    """All frames with their image ids, from 1."""
    number = 0
    for video in job.videos:
        namer = job.namer(video)
        for frame in job.frames(video):
            number += 1
            yield number, video, namer, frame


def _images(job: Job) -> Iterator[dict[str, Any]]:
    for number, video, namer, frame in _numbered(job):
        yield {
            "id": number,
            "file_name": f"{IMAGES}/{namer.path(frame, '.jpg')}",
            "width": frame.width,
            "height": frame.height,
            "video_id": video.id,
            "frame_index": frame.frame_index,
        }


def _annotations(job: Job, tally: Tally) -> Iterator[dict[str, Any]]:
    image = 0
    for video in job.videos:
        for _, labelled in job.annotations(video):
            image += 1
            tally.frames += 1
            for annotation in labelled:
                if not annotation.area_px:
                    continue
                tally.masks += 1
                yield {
                    "id": tally.masks,
                    "image_id": image,
                    "category_id": annotation.query_id,
                    "segmentation": annotation.rle,
                    "area": annotation.area_px,
                    "bbox": annotation.box_xywh,
                    "iscrowd": 0,
                    **({"source": HAND} if annotation.is_corrected else {"score": annotation.score}),
                    "video_id": video.id,
                    "instance_id": annotation.object_id,
                }
