"""YouTube-VOS and Ref-YouTube-VOS: a tree of pictures and palette PNGs, and what is referred to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from carvid.export.exporter import Job, Pictures, Tally, folder_name
from carvid.export.json_stream import Members, write_json
from carvid.export.label_map import check_fits, has_label_pixels, label_map, note_unseen
from carvid.export.pictures import encode_jpeg
from carvid.export.tree import OutputTree
from carvid.media.palette import MAX_LABELS, encode_label_png
from carvid.store.rows import Video, VideoObject

SPLIT = "train"

CLASSES = frozenset(
    "airplane ape bear bike bird boat bucket bus camel cat cow crocodile deer dog dolphin duck eagle earless_seal"
    " elephant fish fox frisbee frog giant_panda giraffe hand hat hedgehog horse knife leopard lion lizard monkey"
    " motorbike mouse others owl paddle parachute parrot penguin person plant rabbit raccoon sedan shark sheep sign"
    " skateboard snail snake snowboard squirrel surfboard tennis_racket tiger toilet train truck turtle umbrella"
    " whale zebra".split()
)
"""YouTube-VOS's 65 classes. Loaders look a category up among them and know no others."""

OTHERS = "others"


class YouTubeVosExporter:
    """`train/JPEGImages/<video>/<frame>.jpg`, `train/Annotations/<video>/<frame>.png`, `train/meta.json` and
    `meta_expressions/train/meta_expressions.json`.

    A label is an object's id in its video; its category is the class of YouTube-VOS that its query is, or
    `others`. An object that no label map shows is left out of both JSON files, as
    readers look for a frame that shows it until they find one.
    """

    name = "ytvos"
    summary = "YouTube-VOS and Ref-YouTube-VOS tree of palette PNGs; lossless but for overlaps"
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


def _write_masks(job: Job, video: Video, tree: OutputTree, tally: Tally) -> list[VideoObject]:
    """Write a video's label maps; returns the objects they show."""
    objects = job.objects(video)
    check_fits(video, objects, MAX_LABELS)
    labels = {each.id: each.id for each in objects}
    namer = job.namer(video)
    seen: set[int] = set()
    for frame, labelled in job.annotations(video):
        found = label_map(frame, labelled, labels)
        tree.write(f"{SPLIT}/Annotations/{namer.path(frame, '.png')}", encode_label_png(found))
        visible = {annotation.object_id for annotation in labelled if has_label_pixels(annotation)}
        seen |= visible
        tally.frames += 1
        tally.masks += len(visible)
    note_unseen(video, objects, seen, tally)
    return [each for each in objects if each.id in seen]


def _meta(job: Job, video: Video, shown: list[VideoObject]) -> dict[str, Any]:
    return {
        "objects": {
            str(each.id): {"category": category(each.query.text), "frames": _frames_with(job, video, each)}
            for each in shown
        }
    }


def category(query: str) -> str:
    """The class that the query is, article aside ("the dog", "a giant panda"); `others` where it is none."""
    words = query.lower().split()
    if words[:1] in (["a"], ["an"], ["the"]):
        words = words[1:]
    name = "_".join(words)
    return name if name in CLASSES else OTHERS


def _frames_with(job: Job, video: Video, shown: VideoObject) -> Iterator[str]:
    namer = job.namer(video)
    for frame, labelled in job.annotations(video):
        if any(a.object_id == shown.id and has_label_pixels(a) for a in labelled):
            yield namer.stem(frame)


def _expressions(job: Job, video: Video, shown: list[VideoObject]) -> dict[str, Any]:
    namer = job.namer(video)
    return {
        "expressions": {
            str(place): {"exp": each.query.text, "obj_id": str(each.id)} for place, each in enumerate(shown)
        },
        "frames": (namer.stem(frame) for frame in job.frames(video)),
    }
