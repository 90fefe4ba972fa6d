"""What a format is: the `Exporter` protocol, what it is given, and what it reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from carvid.export.export_options import ExportOptions
from carvid.export.pictures import LabelledFrame, labelled_frames
from carvid.export.tree import OutputTree
from carvid.store.database import Dataset
from carvid.store.rows import Annotation, FrameRow, Query, Video, VideoObject

Pictures: TypeAlias = Literal["needed", "optional", "unused"]
"""Whether a format holds the frames' pictures: always, unless told otherwise, or never."""


@dataclass(frozen=True)
class Job:
    """What is exported.

    videos: those that are done, by id. pictures: write the frames' pictures too. options: as they were given.
    """

    dataset: Dataset
    videos: tuple[Video, ...]
    pictures: bool
    options: ExportOptions

    def queries(self, video: Video) -> tuple[Query, ...]:
        """The queries of a video in the order given."""
        return tuple(self.dataset.queries(video.id))

    def objects(self, video: Video) -> tuple[VideoObject, ...]:
        """The objects of a video, by id."""
        return tuple(self.dataset.objects(video.id))

    def has_tracks(self) -> bool:
        """Whether the objects are tracks: any number per query."""
        return any(each.is_track for video in self.videos for each in self.objects(video))

    def used_queries(self) -> tuple[Query, ...]:
        """The queries of the exported videos, by id: a format's categories."""
        used = {query.id: query for video in self.videos for query in self.dataset.queries(video.id)}
        return tuple(used[number] for number in sorted(used))

    def frames(self, video: Video) -> Iterator[FrameRow]:
        """The labelled frames of a video, by index."""
        return self.dataset.frames(video.id)

    def annotations(self, video: Video) -> Iterator[tuple[FrameRow, tuple[Annotation, ...]]]:
        """The labelled frames of a video, by index, each with one annotation per object, by its id."""
        return self.dataset.annotations(video.id)

    def pictured(self, video: Video) -> Iterator[LabelledFrame]:
        """As `annotations`, each with its picture. Raises InputError where the source no longer gives it."""
        return labelled_frames(self.dataset, video)

    def namer(self, video: Video) -> Namer:
        """The file names of a video's frames; reads their indices once."""
        last = max((frame.frame_index for frame in self.frames(video)), default=0)
        return Namer(folder_name(video), max(5, len(str(last))))


@dataclass(frozen=True)
class Namer:
    """Names made from ids alone: no character of a file's name or of a query reaches a path.

    folder: of the video, its id in six digits. digits: of a frame's index, five or as many as the video
        needs, so that names sort as the frames do.
    """

    folder: str
    digits: int

    def stem(self, frame: FrameRow) -> str:
        return f"{frame.frame_index:0{self.digits}d}"

    def path(self, frame: FrameRow, suffix: str) -> str:
        """`<folder>/<index><suffix>`, for formats that are trees."""
        return f"{self.folder}/{self.stem(frame)}{suffix}"

    def flat(self, frame: FrameRow, suffix: str) -> str:
        """`<folder>_<index><suffix>`, for all others: trainers and annotation tools put pictures into one folder."""
        return f"{self.folder}_{self.stem(frame)}{suffix}"


def folder_name(video: Video) -> str:
    """A video's folder: its id in six digits."""
    return f"{video.id:06d}"


def object_name(object_id: int) -> str:
    """An object's folder: its id in three digits."""
    return f"{object_id:03d}"


@dataclass
class Tally:
    """What an exporter counts while it writes.

    frames, masks: written; a mask is one object in one frame, not empty.
    iou_loss_sum, iou_loss_worst: the sum and the maximum over masks of 1 - IoU of what was written with the
        mask; the sum is None where nothing is lost.
    left_out_videos, left_out_frames, left_out_objects: done and all the same not in the export, as the format
        cannot hold them; each is told in a note. Frames and objects of videos left out are among them.
    notes: what a reader of the export should know, one sentence each.
    """

    frames: int = 0
    masks: int = 0
    iou_loss_sum: float | None = None
    iou_loss_worst: float = 0.0
    left_out_videos: int = 0
    left_out_frames: int = 0
    left_out_objects: int = 0
    notes: tuple[str, ...] = ()

    def lose(self, share: float) -> None:
        """Count what a mask lost, as 1 - IoU."""
        self.iou_loss_sum = (self.iou_loss_sum or 0.0) + share
        self.iou_loss_worst = max(self.iou_loss_worst, share)

    def note(self, sentence: str) -> None:
        self.notes = (*self.notes, sentence)


class Exporter(Protocol):
    """A format: a class without arguments, listed in `carvid.export.formats`.

    name: as `--to` takes it and index.json states it. summary: a phrase for the documentation.
    pictures: whether it holds the frames' pictures. One that takes any of `OWN_OPTIONS` names them in `options`.
    """

    name: str
    summary: str
    pictures: Pictures

    def write(self, job: Job, tree: OutputTree, tally: Tally) -> None:
        """Write the videos of `job` into `tree`, and count in `tally`.

        It streams: nothing that it keeps grows with a video's length. The same database gives the same bytes,
        wherever it lies. Pictures are written if `job.pictures`. index.json is not its to write.

        Raises UsageError where the format cannot hold the dataset, InputError, OutputError.
        """
