"""CVAT for video 1.1, and CVAT for images 1.1: an XML file per video, masks as run-length codes."""

from __future__ import annotations

from collections.abc import Sequence

from carvid.export.cvat_rle import encode_cvat_rle
from carvid.export.exporter import Job, Pictures, Tally, folder_name
from carvid.export.json_stream import write_json
from carvid.export.tree import OutputTree, TextFile
from carvid.export.xml_text import xml_attribute, xml_safe, xml_text
from carvid.media.palette import voc_palette
from carvid.store.rows import Annotation, FrameRow, Query, Video

LABEL_LENGTH = 64
"""CVAT cuts a label's name to so many characters."""


SCORE = "score"
"""The attribute that holds a mask's score; empty where it was corrected by hand."""

TRACK_ID = "track_id"
"""The attribute that holds the id of a mask's object, where objects are tracks."""


class CvatExporter:
    """`annotations/<video>.xml`, to be uploaded to a task made of that video or folder, and `labels.json`, the
    labels to make the task with.

    A video is "CVAT for video 1.1". A mask in a frame is a track of its own, one frame long: CVAT keeps only the
    first mask of a longer track, and no group of a track of masks. So an object that is a track has its id in the
    attribute `track_id` of its masks. Frames are numbered as in the whole source. A folder of images is "CVAT for
    images 1.1", its frames by name: CVAT sorts images by the characters of their names, carvid by the numbers in
    them. A label is the query's text; one that CVAT would cut is cut here and has its id appended, and what XML
    cannot hold becomes U+FFFD.
    """

    name = "cvat"
    summary = "CVAT for video 1.1 XML, CVAT for images 1.1 of folders; masks as RLE, lossless"
    pictures: Pictures = "unused"

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        colours = voc_palette()
        attributes = (SCORE, TRACK_ID) if job.has_tracks() else (SCORE,)
        labels = (
            {
                "name": label_name(query),
                "color": "#{:02x}{:02x}{:02x}".format(*colours[1 + place % 255]),
                "type": "mask",
                "attributes": [
                    {
                        "name": name,
                        "mutable": True,
                        "input_type": "text",
                        "default_value": "",
                        "values": [""],
                    }
                    for name in attributes
                ],
            }
            for place, query in enumerate(job.used_queries())
        )
        with tree.text("labels.json") as file:
            write_json(file.write, labels)
            file.write("\n")
        for video in job.videos:
            with tree.text(f"annotations/{folder_name(video)}.xml") as file:
                _write_video(job, video, attributes, file, tally)


def label_name(query: Query) -> str:
    """A query as CVAT's label: at most 64 characters, different for different queries."""
    name = xml_safe(query.text)
    if len(name) <= LABEL_LENGTH and name == query.text:
        return name
    mark = f" #{query.id}"
    return name[: LABEL_LENGTH - len(mark)] + mark


def _write_video(job: Job, video: Video, attributes: Sequence[str], file: TextFile, tally: Tally) -> None:
    of_images = video.frame_rate is None
    frames = 1 + max((frame.frame_index for frame in job.frames(video)), default=-1)
    _write_head(job, video, attributes, file, "annotation" if of_images else "interpolation", frames)
    names = {query.id: label_name(query) for query in job.queries(video)}
    track = 0
    for frame, labelled in job.annotations(video):
        tally.frames += 1
        shown = [(names[each.query_id], each) for each in labelled if each.area_px]
        if of_images:
            file.write(_image(frame, shown, attributes))
        else:
            for label, annotation in shown:
                file.write(_track(track, label, frame, annotation, attributes, frames))
                track += 1
        tally.masks += len(shown)
    file.write("</annotations>\n")


def _write_head(
    job: Job, video: Video, attributes: Sequence[str], file: TextFile, mode: str, frames: int
) -> None:
    file.write(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta>\n<task>\n'
    )
    file.write(f"<id>{video.id}</id>\n<name>{xml_text(video.path)}</name>\n<size>{frames}</size>\n")
    file.write(f"<mode>{mode}</mode>\n<overlap>0</overlap>\n")
    file.write(f"<start_frame>0</start_frame>\n<stop_frame>{max(0, frames - 1)}</stop_frame>\n<labels>\n")
    told = "".join(
        f"<attribute><name>{name}</name><mutable>True</mutable><input_type>text</input_type><default_value/>"
        "<values/></attribute>"
        for name in attributes
    )
    for query in job.queries(video):
        file.write(
            f"<label><name>{xml_text(label_name(query))}</name><type>mask</type>"
            f"<attributes>{told}</attributes></label>\n"
        )
    file.write(
        f"</labels>\n<original_size><width>{video.width}</width><height>{video.height}</height>"
        "</original_size>\n</task>\n</meta>\n"
    )


def _image(frame: FrameRow, shown: list[tuple[str, Annotation]], attributes: Sequence[str]) -> str:
    # CVAT compares names without their suffix, which the dataset does not hold.
    name = xml_attribute(f"{frame.name}.jpg")
    masks = "".join(
        _mask(f"label={xml_attribute(label)} source={_source(annotation)}", annotation, attributes)
        for label, annotation in shown
    )
    return (
        f'<image id="{frame.frame_index}" name={name} width="{frame.width}" height="{frame.height}">\n'
        f"{masks}</image>\n"
    )


def _track(
    number: int,
    label: str,
    frame: FrameRow,
    annotation: Annotation,
    attributes: Sequence[str],
    frames: int,
) -> str:
    def mask(index: int, outside: int) -> str:
        return _mask(f'frame="{index}" keyframe="1" outside="{outside}"', annotation, attributes)

    # The object leaves the view with the next frame, if there is one.
    end = mask(frame.frame_index + 1, 1) if frame.frame_index + 1 < frames else ""
    return (
        f'<track id="{number}" label={xml_attribute(label)} source={_source(annotation)}>\n'
        f"{mask(frame.frame_index, 0)}{end}</track>\n"
    )


def _mask(of_its_own: str, annotation: Annotation, attributes: Sequence[str]) -> str:
    assert annotation.box_xywh is not None
    x, y, width, height = annotation.box_xywh
    runs = ", ".join(map(str, encode_cvat_rle(annotation.mask()[y : y + height, x : x + width])))
    values = {
        SCORE: "" if annotation.score is None else f"{annotation.score:.6f}",
        TRACK_ID: str(annotation.object_id),
    }
    told = "".join(f'<attribute name="{name}">{values[name]}</attribute>' for name in attributes)
    return (
        f'<mask {of_its_own} occluded="0" rle="{runs}" left="{x}" top="{y}" width="{width}" height="{height}" '
        f'z_order="0">{told}</mask>\n'
    )


def _source(annotation: Annotation) -> str:
    return '"manual"' if annotation.is_corrected else '"auto"'
