"""COCO: every frame an image, every query a category, masks as compressed run-length codes or as polygons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pycocotools import mask as coco_masks

from carvid.export.exporter import Job, Pictures, Tally
from carvid.export.json_stream import write_json
from carvid.export.pictures import encode_jpeg
from carvid.export.polygons import part_polygons
from carvid.export.tree import OutputTree
from carvid.measures.pair import iou
from carvid.store.rows import Annotation, FrameRow
from carvid.store.schema import HAND

ANNOTATIONS = "annotations/instances_default.json"
IMAGES = "images/default"
_LICENSE = 0


class CocoExporter:
    """`annotations/instances_default.json` and `images/default/<video>_<frame>.jpg`.

    Beside COCO's own keys an image has `video_id` and `frame_index`, an annotation `video_id`, `score` and
    `attributes.track_id` (the object's id in its video, the same in all frames), and `videos` lists the videos. Of a
    dataset with tracks, images also have `frame_id` (their place among the video's, from 0) and annotations
    `instance_id` (the object's number in the dataset, from 1), as in mmtracking's COCO-VID.
    A mask that was corrected by hand has `"source": "hand"` in place of `score`. Only masks that are not empty
    are annotations. Areas and boxes are the masks', also beside polygons, which have holes reached by bridges
    and whose loss is measured by pycocotools.
    """

    name = "coco"
    summary = "COCO instances, each frame an image; masks as compressed RLE, lossless, or as polygons"
    pictures: Pictures = "optional"
    options = ("polygons",)

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        if job.options.polygons:
            tally.iou_loss_sum = 0.0
        if job.pictures:
            for video in job.videos:
                namer = job.namer(video)
                for frame in job.pictured(video):
                    tree.write(f"{IMAGES}/{namer.flat(frame.row, '.jpg')}", encode_jpeg(frame.image))
        with tree.text(ANNOTATIONS) as file:
            write_json(
                file.write,
                {
                    "info": info(job, "masks by carvid, each frame of a video an image"),
                    "licenses": [{"id": _LICENSE, "name": "", "url": ""}],
                    "videos": _videos(job),
                    "categories": categories(job),
                    "images": _images(job),
                    "annotations": _annotations(job, tally),
                },
            )
            file.write("\n")


def info(job: Job, description: str) -> dict[str, Any]:
    """COCO's `info`: which carvid began the dataset, and in which year."""
    meta = job.dataset.meta()
    return {"description": description, "version": meta["carvid"], "year": int(meta["created"][:4])}


def _videos(job: Job) -> Iterator[dict[str, Any]]:
    for video in job.videos:
        yield {
            "id": video.id,
            "name": video.path,
            "width": video.width,
            "height": video.height,
            "fps": None if video.frame_rate is None else float(video.frame_rate),
            "length": video.frame_count,
        }


def categories(job: Job) -> Iterator[dict[str, Any]]:
    """The queries, as COCO's categories."""
    for query in job.used_queries():
        yield {"id": query.id, "name": query.text, "supercategory": ""}


def _images(job: Job) -> Iterator[dict[str, Any]]:
    number, tracks = 0, job.has_tracks()
    for video in job.videos:
        namer = job.namer(video)
        for place, frame in enumerate(job.frames(video)):
            number += 1
            yield {
                "id": number,
                "file_name": namer.flat(frame, ".jpg"),
                "width": frame.width,
                "height": frame.height,
                "license": _LICENSE,
                "video_id": video.id,
                "frame_index": frame.frame_index,
                **({"frame_id": place} if tracks else {}),
            }


def _annotations(job: Job, tally: Tally) -> Iterator[dict[str, Any]]:
    image, instances, tracks = 0, 0, job.has_tracks()
    for video in job.videos:
        instance = {each.id: instances + place for place, each in enumerate(job.objects(video), 1)}
        instances += len(instance)
        for frame, labelled in job.annotations(video):
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
                    "segmentation": _polygons(job, frame, annotation, tally)
                    if job.options.polygons
                    else annotation.rle,
                    "area": annotation.area_px,
                    "bbox": annotation.box_xywh,
                    "iscrowd": 0,
                    **({"source": HAND} if annotation.is_corrected else {"score": annotation.score}),
                    "video_id": video.id,
                    "attributes": {"track_id": annotation.object_id},
                    **({"instance_id": instance[annotation.object_id]} if tracks else {}),
                }


def _polygons(job: Job, frame: FrameRow, annotation: Annotation, tally: Tally) -> list[list[float]]:
    mask = annotation.mask()
    parts = [part.reshape(-1).tolist() for part in part_polygons(mask, job.options.tolerance_px)]
    codes = coco_masks.frPyObjects(parts, frame.height, frame.width)
    tally.lose(1 - iou(mask, coco_masks.decode(coco_masks.merge(codes)).astype(np.bool_)))
    return parts
