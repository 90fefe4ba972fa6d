"""Label Studio: image tasks with brush masks, video tasks with boxes over time, as predictions to correct."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import quote

from carvid.export.brush_rle import encode_brush_rle
from carvid.export.exporter import Job, Namer, Pictures, Tally, folder_name
from carvid.export.json_stream import write_json
from carvid.export.pictures import encode_jpeg
from carvid.export.tree import OutputTree
from carvid.export.xml_text import xml_attribute, xml_safe
from carvid.store.rows import Annotation, FrameRow, Query, Video, VideoObject

LOCAL_FILES = "/data/local-files/?d="
"""The address under which Label Studio serves files below its document root."""

MODEL_VERSION = "carvid"


class LabelStudioExporter:
    """`image_tasks/<video>.json` with `images/<video>_<frame>.jpg` and `image_config.xml`;
    `video_tasks/<video>.json` with `video_config.xml`.

    An image task is a frame, a mask a brush region. Label Studio has no masks over time, so a video task
    holds each object's box, frame by frame, as a VideoRectangle; a folder of images gets none. Pictures and
    videos are addressed in Label Studio's local storage: `images/...` as here, a video by its path below the
    input's root; both below `ExportOptions.prefix`. A label is the query's text; what XML cannot hold becomes U+FFFD.
    """

    name = "labelstudio"
    summary = "Label Studio image tasks (brush masks, lossless) and video tasks (boxes)"
    pictures: Pictures = "optional"
    options = ("prefix",)

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        queries = job.used_queries()
        tree.write("image_config.xml", _image_config(queries).encode())
        tree.write("video_config.xml", _video_config(queries).encode())
        for video in job.videos:
            if job.pictures:
                namer = job.namer(video)
                for frame in job.pictured(video):
                    tree.write(f"images/{namer.flat(frame.row, '.jpg')}", encode_jpeg(frame.image))
            with tree.text(f"image_tasks/{folder_name(video)}.json") as file:
                write_json(file.write, _image_tasks(job, video, tally))
                file.write("\n")
            if video.frame_rate is None:
                tally.note(f"video {video.id} is a folder of images: it has image tasks and no video task")
                continue
            with tree.text(f"video_tasks/{folder_name(video)}.json") as file:
                write_json(file.write, iter([_video_task(job, video)]))
                file.write("\n")


def _image_tasks(job: Job, video: Video, tally: Tally) -> Iterator[dict[str, Any]]:
    names = _region_names(job, video)
    texts = {query.id: query.text for query in job.queries(video)}
    namer = job.namer(video)
    for frame, labelled in job.annotations(video):
        shown = [annotation for annotation in labelled if annotation.area_px]
        tally.frames += 1
        tally.masks += len(shown)
        yield {
            "data": _image_data(job, video, namer, frame),
            "predictions": [
                {
                    "model_version": MODEL_VERSION,
                    "score": min(map(_score, shown), default=0.0),
                    "result": [
                        _brush_region(
                            f"v{video.id}f{frame.frame_index}{names[annotation.object_id]}",
                            frame,
                            annotation,
                            texts[annotation.query_id],
                        )
                        for annotation in shown
                    ],
                }
            ],
        }


def _score(annotation: Annotation) -> float:
    # A mask that was corrected by hand has no score of the model's: it is as sure as can be.
    return 1.0 if annotation.score is None else annotation.score


def _region_names(job: Job, video: Video) -> dict[int, str]:
    """Object id -> what tells its regions from those of the others: its query, and itself if that has several."""
    objects = job.objects(video)
    several = Counter(each.query.id for each in objects)
    return {
        each.id: f"q{each.query.id}" + (f"o{each.id}" if several[each.query.id] > 1 else "")
        for each in objects
    }


def _url(job: Job, path: str) -> str:
    prefix = job.options.prefix.strip("/")
    return LOCAL_FILES + quote(f"{prefix}/{path}" if prefix else path, errors="surrogateescape")


def _image_data(job: Job, video: Video, namer: Namer, frame: FrameRow) -> dict[str, Any]:
    return {
        "image": _url(job, f"images/{namer.flat(frame, '.jpg')}"),
        "video_id": video.id,
        "video": video.path,
        "frame_index": frame.frame_index,
    }


def _brush_region(name: str, frame: FrameRow, annotation: Annotation, text: str) -> dict[str, Any]:
    return {
        "id": name,
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": frame.width,
        "original_height": frame.height,
        "image_rotation": 0,
        "score": _score(annotation),
        "value": {
            "format": "rle",
            "rle": encode_brush_rle(annotation.mask()),
            "brushlabels": [xml_safe(text)],
        },
    }


def _video_task(job: Job, video: Video) -> dict[str, Any]:
    assert video.frame_rate is not None
    prediction = {"model_version": MODEL_VERSION, "result": _box_regions(job, video)}
    return {
        "data": {"video": _url(job, video.path), "video_id": video.id, "fps": float(video.frame_rate)},
        "predictions": iter([prediction]),
    }


def _box_regions(job: Job, video: Video) -> Iterator[dict[str, Any]]:
    assert video.frame_rate is not None
    frames = 1 + max((frame.frame_index for frame in job.frames(video)), default=-1)
    names = _region_names(job, video)
    for each in job.objects(video):
        if any(_sequence(job, video, each)):
            yield {
                "id": f"v{video.id}{names[each.id]}",
                "type": "videorectangle",
                "from_name": "box",
                "to_name": "video",
                "value": {
                    "framesCount": frames,
                    "duration": float(frames / video.frame_rate),
                    "labels": [xml_safe(each.query.text)],
                    "sequence": _sequence(job, video, each),
                },
            }


def _sequence(job: Job, video: Video, shown: VideoObject) -> Iterator[dict[str, Any]]:
    """An object's boxes: per cent of the frame, frames from 1; `enabled` says that it stays in view.

    Between two keyframes Label Studio fills in what lies between, unless the first ends the span. A box is
    taken to hold until the next frame that is labelled, but not over frames that are damaged.
    """
    assert video.frame_rate is not None
    every = job.dataset.settings()["stream"]["every"]
    held: dict[str, Any] | None = None
    for frame, labelled in job.annotations(video):
        box = next(a.box_xywh for a in labelled if a.object_id == shown.id)
        if held is not None:
            gap = frame.frame_index + 1 - held["frame"]
            if box is not None and gap <= every:
                yield {**held, "enabled": True}
            else:
                yield from _end(held, min(gap, every) - 1, video.frame_rate)
        held = None
        if box is None:
            continue
        x, y, width, height = box
        seconds = frame.pts_seconds
        held = {
            "frame": frame.frame_index + 1,
            "time": float(frame.frame_index / video.frame_rate) if seconds is None else seconds,
            "x": 100 * x / frame.width,
            "y": 100 * y / frame.height,
            "width": 100 * width / frame.width,
            "height": 100 * height / frame.height,
            "rotation": 0,
        }
    if held is not None:
        yield {**held, "enabled": False}


def _end(held: dict[str, Any], more: int, frame_rate: Fraction) -> Iterator[dict[str, Any]]:
    """A box that stays for `more` frames after its own."""
    if more:
        yield {**held, "enabled": True}
    yield {
        **held,
        "frame": held["frame"] + more,
        "time": held["time"] + float(more / frame_rate),
        "enabled": False,
    }


def _labels(queries: tuple[Query, ...]) -> str:
    return "".join(f"    <Label value={xml_attribute(query.text)}/>\n" for query in queries)


def _image_config(queries: tuple[Query, ...]) -> str:
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="mask" toName="image">\n{_labels(queries)}  </BrushLabels>\n</View>\n'
    )


def _video_config(queries: tuple[Query, ...]) -> str:
    return (
        '<View>\n  <Video name="video" value="$video" frameRate="$fps"/>\n'
        '  <VideoRectangle name="box" toName="video"/>\n'
        f'  <Labels name="labels" toName="video" allowEmpty="true">\n{_labels(queries)}  </Labels>\n</View>\n'
    )
