"""DAVIS 2017 and Ref-DAVIS: the tree that `carvid.davis` reads and `carvid eval` scores against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carvid.davis.dataset import ANNOTATION_FOLDERS, RESOLUTION
from carvid.davis.expressions import EXPRESSION_SETS
from carvid.davis.labels import VOID
from carvid.davis.protocols import IDENTITY_MIN_FRAMES
from carvid.export.exporter import Job, Pictures, Tally, folder_name
from carvid.export.json_stream import Members, write_json
from carvid.export.label_map import check_fits, has_label_pixels, label_map, note_unseen
from carvid.export.pictures import encode_jpeg
from carvid.export.tree import OutputTree
from carvid.media.palette import encode_label_png
from carvid.store.rows import FrameRow, Video, VideoObject

SPLIT = "val"


@dataclass(frozen=True)
class _Plan:
    """first: index of the first frame written. objects: in the order of their labels, from 1."""

    first: int
    objects: tuple[VideoObject, ...]

    @property
    def labels(self) -> dict[int, int]:
        return {each.id: label for label, each in enumerate(self.objects, 1)}


class DavisExporter:
    """`JPEGImages/480p/<video>/<frame>.jpg`, `Annotations/480p/<video>/<frame>.png` and the same in
    `Annotations_unsupervised`, `ImageSets/2017/val.txt`, `meta_expressions/valid/meta_expressions.json`.

    DAVIS counts a video's objects by the highest label of its first annotation. So a video begins with the
    first frame that shows an object, an object that no label map shows is left out, and labels follow the
    objects' order except that, where the last object is not in that frame, the last one that is comes last.
    Every object has its expression once in each of the four sets. 480p is the folder's name, whatever the
    size.

    The identity protocol drops the first and the last frame, so it leaves out videos of fewer than three.
    """

    name = "davis"
    summary = "DAVIS 2017 and Ref-DAVIS tree of palette PNGs; lossless but for overlaps"
    pictures: Pictures = "optional"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        plans = {}
        for video in job.videos:
            plan = _plan(job, video, tally)
            if plan is not None:
                plans[video.id] = plan
                _write_masks(job, video, plan, tree, tally)
        videos = [video for video in job.videos if video.id in plans]
        if job.pictures:
            for video in videos:
                _write_pictures(job, video, plans[video.id], tree)
        tree.write(
            f"ImageSets/2017/{SPLIT}.txt", "".join(f"{folder_name(video)}\n" for video in videos).encode()
        )
        entries = Members((folder_name(video), _expressions(job, video, plans[video.id])) for video in videos)
        with tree.text("meta_expressions/valid/meta_expressions.json") as file:
            write_json(file.write, {"videos": entries})
            file.write("\n")


def _plan(job: Job, video: Video, tally: Tally) -> _Plan | None:
    labelled_objects = job.objects(video)
    check_fits(video, labelled_objects, VOID - 1)
    first, in_first, seen, skipped = None, set[int](), set[int](), 0
    for frame, labelled in job.annotations(video):
        visible = {annotation.object_id for annotation in labelled if has_label_pixels(annotation)}
        if first is None and visible:
            first, in_first = frame.frame_index, visible
        skipped += first is None
        seen |= visible
    tally.left_out_frames += skipped
    if first is None:
        tally.left_out_videos += 1
        tally.left_out_objects += len(labelled_objects)
        tally.note(f"video {video.id} is left out: no frame shows an object")
        return None
    if skipped:
        tally.note(f"video {video.id} begins with frame {first}: {skipped} frames before it show no object")
    note_unseen(video, labelled_objects, seen, tally)
    objects = [each for each in labelled_objects if each.id in seen]
    last = max(place for place, each in enumerate(objects) if each.id in in_first)
    objects.append(objects.pop(last))
    return _Plan(first, tuple(objects))


def _frames(job: Job, video: Video, plan: _Plan) -> Iterator[FrameRow]:
    return (frame for frame in job.frames(video) if frame.frame_index >= plan.first)


def _write_masks(job: Job, video: Video, plan: _Plan, tree: OutputTree, tally: Tally) -> None:
    namer, written = job.namer(video), 0
    for frame, labelled in job.annotations(video):
        if frame.frame_index < plan.first:
            continue
        found = label_map(frame, labelled, plan.labels)
        picture = encode_label_png(found)
        for folder in ANNOTATION_FOLDERS:
            tree.write(f"{folder}/{RESOLUTION}/{namer.path(frame, '.png')}", picture)
        written += 1
        tally.masks += sum(has_label_pixels(annotation) for annotation in labelled)
    tally.frames += written
    if written < IDENTITY_MIN_FRAMES:
        tally.note(
            f"video {video.id} has {written} frame(s) in the export: `carvid eval` leaves it out of identity, "
            f"which drops the first and the last"
        )


def _write_pictures(job: Job, video: Video, plan: _Plan, tree: OutputTree) -> None:
    namer = job.namer(video)
    for frame in job.pictured(video):
        if frame.row.frame_index >= plan.first:
            tree.write(f"JPEGImages/{RESOLUTION}/{namer.path(frame.row, '.jpg')}", encode_jpeg(frame.image))


def _expressions(job: Job, video: Video, plan: _Plan) -> dict[str, Any]:
    namer = job.namer(video)
    per_set = [(label, each) for label, each in enumerate(plan.objects, 1) for _ in range(EXPRESSION_SETS)]
    return {
        "expressions": {
            str(place): {"exp": each.query.text, "obj_id": str(label)}
            for place, (label, each) in enumerate(per_set)
        },
        "frames": (namer.stem(frame) for frame in _frames(job, video, plan)),
    }
