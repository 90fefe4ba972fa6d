"""YOLO segmentation: a text file per frame, a line per object: its class and its polygon."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import yaml

from carvid.export.exporter import Job, Pictures, Tally
from carvid.export.pictures import encode_jpeg
from carvid.export.polygons import Points, fill_polygon, mask_polygon
from carvid.export.tree import OutputTree
from carvid.measures.pair import iou
from carvid.store.rows import FrameRow, Video

TRAIN, VAL = "train", "val"
_INTO_PIXEL = 0.25
"""Where in its pixel a vertex lies: readers that truncate coordinates (Ultralytics) and readers that round them
(supervision) then find the same pixel."""


class YoloSegExporter:
    """`images/train/<video>_<frame>.jpg`, `labels/train/<video>_<frame>.txt`, the same in `val`, and `data.yaml`.

    A class is a query, counted from 0 by id. An object's mask in a frame is one polygon, see
    `carvid.export.polygons`; a frame that shows nothing has an empty file. What is lost is measured by
    filling each polygon at the frame's size. Whole videos are held out for `val`, see `held_out`; where there are
    none, `val` is `train`.
    """

    name = "yolo-seg"
    summary = "YOLO segmentation; masks as polygons, what they lose is printed"
    pictures: Pictures = "optional"
    options = ("val_share", "seed")

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        queries = job.used_queries()
        classes = {query.id: number for number, query in enumerate(queries)}
        tally.iou_loss_sum = 0.0
        held = held_out(job.videos, job.options.val_share, job.options.seed)
        if held:
            tally.note(f"{len(held)} of {len(job.videos)} videos are held out for {VAL}")
        elif job.options.val_share:
            tally.note(f"there is nothing to hold out of a single video: {VAL} is the same as {TRAIN}")
        for video in job.videos:
            split = VAL if video.id in held else TRAIN
            _write_labels(job, video, split, classes, tree, tally)
            if job.pictures:
                namer = job.namer(video)
                for frame in job.pictured(video):
                    path = f"images/{split}/{namer.flat(frame.row, '.jpg')}"
                    tree.write(path, encode_jpeg(frame.image))
        data = {
            "train": f"images/{TRAIN}",
            # Trainers ask for both.
            "val": f"images/{VAL if held else TRAIN}",
            "names": {number: query.text for number, query in enumerate(queries)},
        }
        tree.write("data.yaml", yaml.safe_dump(data, sort_keys=False, width=10**6).encode())


def held_out(videos: Sequence[Video], share: float, seed: int) -> frozenset[int]:
    """The ids of the videos held out: about that share, but neither none (if it is not 0) nor all.

    Ranges of one video stay together. Which are chosen depends on the seed and on their paths alone.
    """
    paths = sorted(
        {video.path for video in videos},
        key=lambda path: hashlib.sha256(f"{seed} {path}".encode("utf-8", "surrogateescape")).digest(),
    )
    count = min(max(round(share * len(paths)), share > 0), len(paths) - 1)
    chosen = set(paths[:count])
    return frozenset(video.id for video in videos if video.path in chosen)


def _write_labels(
    job: Job, video: Video, split: str, classes: dict[int, int], tree: OutputTree, tally: Tally
) -> None:
    namer = job.namer(video)
    for frame, labelled in job.annotations(video):
        lines = []
        for annotation in labelled:
            if not annotation.area_px:
                continue
            mask = annotation.mask()
            polygon = mask_polygon(mask, job.options.tolerance_px)
            filled = fill_polygon(polygon, frame.height, frame.width)
            tally.lose(1 - iou(mask, filled))
            tally.masks += 1
            lines.append(f"{classes[annotation.query_id]} {_coordinates(polygon, frame)}\n")
        tree.write(f"labels/{split}/{namer.flat(frame, '.txt')}", "".join(lines).encode())
        tally.frames += 1


def _coordinates(polygon: Points, frame: FrameRow) -> str:
    """The vertices as shares of the frame's width and height."""
    shares = (polygon + _INTO_PIXEL) / (frame.width, frame.height)
    return " ".join(f"{share:.6f}" for share in shares.reshape(-1).tolist())
