"""Cut-outs: each object's pixels on a transparent background."""

from __future__ import annotations

import numpy as np

from carvid.export.exporter import Job, Pictures, Tally, object_name
from carvid.export.pictures import encode_png
from carvid.export.tree import OutputTree


class RgbaExporter:
    """`<video>/<object>/<frame>.png`: RGBA of the frame's size, opaque inside the mask, all zeros outside.

    There is no file where the object is absent.
    """

    name = "rgba"
    summary = "a cut-out per frame and object as RGBA PNG; lossless"
    pictures: Pictures = "needed"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        for video in job.videos:
            namer = job.namer(video)
            for frame in job.pictured(video):
                tally.frames += 1
                opaque = np.dstack([frame.image, np.full(frame.image.shape[:2], 255, np.uint8)])
                for annotation in frame.annotations:
                    if not annotation.area_px:
                        continue
                    picture = opaque * annotation.mask()[..., None]
                    path = f"{namer.folder}/{object_name(annotation.object_id)}/{namer.stem(frame.row)}.png"
                    tree.write(path, encode_png(picture))
                    tally.masks += 1
