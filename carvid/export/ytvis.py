"""YouTube-VIS: a JSON file of videos and tracks, a track being an object's masks frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from carvid.export.coco import categories, info
from carvid.export.cvat_rle import encode_cvat_rle
from carvid.export.exporter import Job, Pictures, Tally
from carvid.export.json_stream import write_json
from carvid.export.label_map import note_unseen
from carvid.export.pictures import encode_jpeg
from carvid.export.tree import OutputTree
from carvid.store.rows import Annotation, Video, VideoObject

ANNOTATIONS = "annotations/youtube_vis_train/instances.json"
"""TrackEval takes a folder of this name with one JSON file in it; the YTVOS API takes the file."""

IMAGES = "train/JPEGImages"


class YouTubeVisExporter:
    """`annotations/youtube_vis_train/instances.json` and `train/JPEGImages/<video>/<video>_<frame>.jpg`.

    An annotation is an object: `segmentations`, `bboxes` and `areas` have an item for each frame of its video, null
    where the object is absent. Its `attributes.track_id` is its id in the video. Run-length codes are not
    compressed, as TrackEval reads no others. An object that no frame shows is left out.
    """

    name = "ytvis"
    summary = "YouTube-VIS JSON, each object a track; masks as RLE, lossless"
    pictures: Pictures = "optional"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        if job.pictures:
            for video in job.videos:
                namer = job.namer(video)
                for frame in job.pictured(video):
                    path = f"{IMAGES}/{namer.folder}/{namer.flat(frame.row, '.jpg')}"
                    tree.write(path, encode_jpeg(frame.image))
        with tree.text(ANNOTATIONS) as file:
            write_json(
                file.write,
                {
                    "info": info(job, "masks by carvid, each object of a video a track"),
                    "videos": _videos(job, tally),
                    "categories": categories(job),
                    "annotations": _tracks(job, tally),
                },
            )
            file.write("\n")


def _videos(job: Job, tally: Tally) -> Iterator[dict[str, Any]]:
    for video in job.videos:
        tally.frames += video.frame_count or 0
        yield {
            "id": video.id,
            "width": video.width,
            "height": video.height,
            "length": video.frame_count,
            "name": video.path,
            "file_names": _file_names(job, video),
        }


def _file_names(job: Job, video: Video) -> Iterator[str]:
    namer = job.namer(video)
    return (f"{namer.folder}/{namer.flat(frame, '.jpg')}" for frame in job.frames(video))


def _tracks(job: Job, tally: Tally) -> Iterator[dict[str, Any]]:
    number = 0
    for video in job.videos:
        objects = job.objects(video)
        seen: set[int] = set()
        for _, labelled in job.annotations(video):
            shown = {annotation.object_id for annotation in labelled if annotation.area_px}
            seen |= shown
            tally.masks += len(shown)
        note_unseen(video, objects, seen, tally)
        for each in objects:
            if each.id in seen:
                number += 1
                yield {
                    "id": number,
                    "video_id": video.id,
                    "category_id": each.query.id,
                    "iscrowd": 0,
                    "width": video.width,
                    "height": video.height,
                    "length": video.frame_count,
                    "attributes": {"track_id": each.id},
                    "segmentations": _over_time(job, video, each, _run_lengths),
                    "bboxes": _over_time(job, video, each, lambda annotation: annotation.box_xywh),
                    "areas": _over_time(job, video, each, lambda annotation: annotation.area_px),
                }


def _over_time(
    job: Job, video: Video, shown: VideoObject, what: Callable[[Annotation], object]
) -> Iterator[object]:
    for _, labelled in job.annotations(video):
        annotation = next(each for each in labelled if each.object_id == shown.id)
        yield what(annotation) if annotation.area_px else None


def _run_lengths(annotation: Annotation) -> dict[str, list[int]]:
    # COCO's run lengths go down the columns, CVAT's along the rows.
    return {"size": annotation.rle["size"], "counts": encode_cvat_rle(annotation.mask().T)}
