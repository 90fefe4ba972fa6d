"""CVAT for video 1.1: an XML file per video, masks as run-length codes."""

from __future__ import annotations

from carvid.export.cvat_rle import encode_cvat_rle
from carvid.export.exporter import Job, Pictures, Tally, folder_name
from carvid.export.json_stream import write_json
from carvid.export.tree import OutputTree, TextFile
from carvid.export.xml_text import xml_attribute, xml_safe, xml_text
from carvid.media.palette import voc_palette
from carvid.store.database import Annotation, FrameRow, Query, Video

LABEL_LENGTH = 64
"""CVAT cuts a label's name to so many characters."""


class CvatExporter:
    """`annotations/<video>.xml`, to be uploaded to a task made of that video, and `labels.json`, the labels
    to make the task with.

    A mask in a frame is a track of its own, one frame long: CVAT keeps only the first mask of a longer track.
    Frames are numbered as in the whole source. A label is the query's text; one that CVAT would cut is cut
    here and has its id appended, and what XML cannot hold becomes U+FFFD.
    """

    name = "cvat"
    summary = "CVAT for video 1.1 XML; masks as RLE, lossless"
    pictures: Pictures = "unused"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        colours = voc_palette()
        labels = (
            {
                "name": label_name(query),
                "color": "#{:02x}{:02x}{:02x}".format(*colours[1 + place % 255]),
                "type": "mask",
                "attributes": [],
            }
            for place, query in enumerate(job.used_queries())
        )
        with tree.text("labels.json") as file:
            write_json(file.write, labels)
            file.write("\n")
        for video in job.videos:
            with tree.text(f"annotations/{folder_name(video)}.xml") as file:
                _write_video(job, video, file, tally)


def label_name(query: Query) -> str:
    """A query as CVAT's label: at most 64 characters, different for different queries."""
    name = xml_safe(query.text)
    if len(name) <= LABEL_LENGTH and name == query.text:
        return name
    mark = f" #{query.id}"
    return name[: LABEL_LENGTH - len(mark)] + mark


def _write_video(job: Job, video: Video, file: TextFile, tally: Tally) -> None:
    queries = job.queries(video)
    frames = 1 + max((frame.frame_index for frame in job.frames(video)), default=-1)
    file.write(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta>\n<task>\n'
    )
    file.write(f"<id>{video.id}</id>\n<name>{xml_text(video.path)}</name>\n<size>{frames}</size>\n")
    file.write("<mode>interpolation</mode>\n<overlap>0</overlap>\n")
    file.write(f"<start_frame>0</start_frame>\n<stop_frame>{max(0, frames - 1)}</stop_frame>\n<labels>\n")
    for query in queries:
        file.write(
            f"<label><name>{xml_text(label_name(query))}</name><type>mask</type><attributes/></label>\n"
        )
    file.write(
        f"</labels>\n<original_size><width>{video.width}</width><height>{video.height}</height>"
        "</original_size>\n</task>\n</meta>\n"
    )
    names = {query.id: label_name(query) for query in queries}
    track = 0
    for frame, labelled in job.annotations(video):
        tally.frames += 1
        for annotation in labelled:
            if annotation.area_px:
                file.write(_track(track, names[annotation.query_id], frame, annotation, frames))
                track += 1
    tally.masks += track
    file.write("</annotations>\n")


def _track(number: int, label: str, frame: FrameRow, annotation: Annotation, frames: int) -> str:
    assert annotation.box_xywh is not None
    x, y, width, height = annotation.box_xywh
    runs = ", ".join(map(str, encode_cvat_rle(annotation.mask()[y : y + height, x : x + width])))

    def mask(index: int, outside: int) -> str:
        return (
            f'<mask frame="{index}" keyframe="1" outside="{outside}" occluded="0" rle="{runs}" '
            f'left="{x}" top="{y}" width="{width}" height="{height}" z_order="0"></mask>\n'
        )

    source = "manual" if annotation.is_corrected else "auto"
    head = f'<track id="{number}" label={xml_attribute(label)} source="{source}">\n'
    # The object leaves the view with the next frame, if there is one.
    end = mask(frame.frame_index + 1, 1) if frame.frame_index + 1 < frames else ""
    return head + mask(frame.frame_index, 0) + end + "</track>\n"
