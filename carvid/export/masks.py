"""Plain masks: a PNG per frame and object."""

from __future__ import annotations

import numpy as np

from carvid.export.exporter import Job, Pictures, Tally, object_name
from carvid.export.pictures import encode_png
from carvid.export.tree import OutputTree


class MasksExporter:
    """`<video>/<object>/<frame>.png`: 8-bit grey, 255 inside and 0 outside.

    Masks are the objects' own and may overlap. Every frame has a file for every object, black where it is absent.
    """

    name = "masks"
    summary = "a grey PNG per frame and object; lossless"
    pictures: Pictures = "unused"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        for video in job.videos:
            namer = job.namer(video)
            for frame, labelled in job.annotations(video):
                tally.frames += 1
                for annotation in labelled:
                    picture = annotation.mask() * np.uint8(255)
                    path = f"{namer.folder}/{object_name(annotation.object_id)}/{namer.stem(frame)}.png"
                    tree.write(path, encode_png(picture))
                    tally.masks += annotation.area_px > 0
