"""The Ref-DAVIS 2017 tree: which videos a split has, their frames, annotations and expressions.

    JPEGImages/480p/<video>/00000.jpg
    Annotations/480p/<video>/00000.png       or Annotations_unsupervised/480p
    ImageSets/2017/<split>.txt               one video name per line
    davis_text_annotations/Davis17_*.txt     or meta_expressions/<split>/meta_expressions.json

Everything that is missing is reported in one InputError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from carvid.data_files import read_names
from carvid.davis.expressions import EXPRESSION_SETS, Expressions, find_expressions
from carvid.davis.labels import VOID, decode_label_map
from carvid.errors import InputError, UsageError
from carvid.paths import is_dir
from carvid.problems import refuse_if_any

FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
RESOLUTION = "480p"
REMEDY = "Complete the tree; docs/refdavis.md says where its parts come from."
FRAMES_REMEDY = "Complete JPEGImages, or leave --consistency out."
ANNOTATION_FOLDERS = ("Annotations", "Annotations_unsupervised")
"""Where annotations are looked for, in this order, unless a folder is named."""


@dataclass(frozen=True)
class AnnotatedVideo:
    """A video's ground truth.

    annotation_paths: one palette PNG per frame, in the order of their names.
    object_count: the highest label (void aside) of the first annotation; labels above it in later frames are
      not objects.
    height, width: of the first annotation, in pixels.
    """

    name: str
    annotation_paths: tuple[Path, ...]
    object_count: int
    height: int
    width: int

    @property
    def frame_ids(self) -> tuple[str, ...]:
        """The frames' names without suffix: "00000", "00001", ..."""
        return tuple(path.stem for path in self.annotation_paths)


@dataclass(frozen=True)
class GroundTruth:
    """The annotated videos of a split, in the split's order, and the folder they are in."""

    split: str
    folder: Path
    videos: tuple[AnnotatedVideo, ...]


@dataclass(frozen=True)
class ReferringVideo:
    """A video to segment: its frames, its ground truth, and what to look for.

    frame_paths: one image per annotation, in the same order.
    expressions: expression set (0..3) -> one expression per object, object 1 first.
    """

    truth: AnnotatedVideo
    frame_paths: tuple[Path, ...]
    expressions: Mapping[int, tuple[str, ...]]

    @property
    def name(self) -> str:
        return self.truth.name


@dataclass(frozen=True)
class ReferringDataset:
    """A split with frames, annotations and expressions, checked to be complete."""

    truth: GroundTruth
    sets: tuple[int, ...]
    videos: tuple[ReferringVideo, ...]


def checked_sets(sets: Sequence[int] | None) -> tuple[int, ...]:
    """The expression sets asked for, ascending; None is all four. UsageError unless 0..3, each once."""
    if sets is None:
        return tuple(range(EXPRESSION_SETS))
    wrong = [index for index in sets if not 0 <= index < EXPRESSION_SETS]
    if wrong or not sets or len(set(sets)) != len(sets):
        raise UsageError(
            f"expression sets {list(sets)}: expected one or more of 0, 1, 2 and 3, each at most once"
        )
    return tuple(sorted(sets))


def read_truth(
    root: Path, *, split: str = "val", videos: Sequence[str] | None = None, annotations: Path | None = None
) -> GroundTruth:
    """The annotated videos of a split; needs `Annotations*` and `ImageSets` only.

    videos: only these, which must be in the split. annotations: the folder of the videos' folders, as given
    or relative to `root`; by default `Annotations/480p`, or else `Annotations_unsupervised/480p`.
    """
    problems: list[str] = []
    truth = _read_truth(root, split, videos, annotations, problems)
    _refuse(root, problems)
    return truth


def read_frames(root: Path, truth: GroundTruth) -> dict[str, tuple[Path, ...]]:
    """The frames of each video of `truth` by its name: one image per annotation, in the same order.

    Temporal consistency needs them. Raises one InputError that lists each folder and frame that is missing, and each
    frame without an annotation.
    """
    images = root / "JPEGImages" / RESOLUTION
    problems: list[str] = []
    if is_dir(images, InputError):
        found = {video.name: _frames(images, video, None, problems) for video in truth.videos}
    else:
        found = {}
        problems.append(f"no folder {images}")
    refuse_if_any(problems, f"temporal consistency needs the frames of {root}", FRAMES_REMEDY)
    return found


def read_videos(folder: Path, names: Sequence[str]) -> tuple[AnnotatedVideo, ...]:
    """The annotated videos in a folder that holds a folder of PNG files per video."""
    problems: list[str] = []
    videos = _annotated_videos(folder, names, problems)
    _refuse(folder, problems)
    return videos


def read_dataset(
    root: Path,
    *,
    split: str = "val",
    videos: Sequence[str] | None = None,
    sets: Sequence[int] | None = None,
    annotations: Path | None = None,
) -> ReferringDataset:
    """A split with everything a run needs: frames, annotations, and an expression per object and set.

    Raises one InputError that lists each folder, video, frame and expression that is missing, each object
    without an expression and each expression without an object. Where the expressions are there in both
    forms, the text files are read.
    """
    wanted = checked_sets(sets)
    problems: list[str] = []
    truth = _read_truth(root, split, videos, annotations, problems)
    expressions = find_expressions(root, split, wanted, {video.name for video in truth.videos}, problems)
    images = root / "JPEGImages" / RESOLUTION
    if not is_dir(images, InputError):
        problems.append(f"no folder {images}")
    found = tuple(
        ReferringVideo(
            truth=video,
            frame_paths=_frames(images, video, expressions, problems) if is_dir(images, InputError) else (),
            expressions=_queries(video, expressions, wanted, problems) if expressions else {},
        )
        for video in truth.videos
    )
    _refuse(root, problems)
    return ReferringDataset(truth, wanted, found)


def _refuse(root: Path, problems: Sequence[str]) -> None:
    refuse_if_any(problems, f"{root} is not a complete Ref-DAVIS tree", REMEDY)


def _read_truth(
    root: Path, split: str, videos: Sequence[str] | None, annotations: Path | None, problems: list[str]
) -> GroundTruth:
    folder = _annotation_folder(root, annotations, problems)
    names = _video_names(root, split, videos, problems)
    found = () if folder is None else _annotated_videos(folder, names, problems)
    return GroundTruth(split, folder or root, found)


def _annotated_videos(folder: Path, names: Sequence[str], problems: list[str]) -> tuple[AnnotatedVideo, ...]:
    videos = (_annotated_video(folder / name, problems) for name in names)
    return tuple(video for video in videos if video is not None)


def _annotation_folder(root: Path, annotations: Path | None, problems: list[str]) -> Path | None:
    if annotations is None:
        candidates = [root / name / RESOLUTION for name in ANNOTATION_FOLDERS]
    else:
        bases = (annotations, root / annotations)
        candidates = [folder for base in bases for folder in (base / RESOLUTION, base)]
    for folder in candidates:
        if is_dir(folder, InputError):
            return folder
    asked = candidates if annotations is None else [annotations]
    problems.append("no folder " + ", nor ".join(str(folder) for folder in asked))
    return None


def _video_names(
    root: Path, split: str, videos: Sequence[str] | None, problems: list[str]
) -> tuple[str, ...]:
    path = root / "ImageSets" / "2017" / f"{split}.txt"
    names = read_names(path, "video", "a folder", problems)
    if videos is None:
        return names
    problems.extend(f"video {name} is not in {path}" for name in videos if name not in names)
    return tuple(name for name in names if name in videos)


def _annotated_video(folder: Path, problems: list[str]) -> AnnotatedVideo | None:
    if not is_dir(folder, InputError):
        problems.append(f"no folder {folder}")
        return None
    paths = tuple(sorted(folder.glob("[!.]*.png")))
    if not paths:
        problems.append(f"no annotation in {folder}")
        return None
    try:
        first = decode_label_map(paths[0].read_bytes(), str(paths[0]))
    except (InputError, OSError) as error:
        problems.append(str(error))
        return None
    objects = int(np.max(first, where=first != VOID, initial=0))
    if objects == 0:
        problems.append(
            f"{paths[0]} has no object (labels 1..254); the first annotation says how many the video has"
        )
        return None
    return AnnotatedVideo(folder.name, paths, objects, *first.shape)


def _frames(
    images: Path, video: AnnotatedVideo, expressions: Expressions | None, problems: list[str]
) -> tuple[Path, ...]:
    folder = images / video.name
    if not is_dir(folder, InputError):
        problems.append(f"no folder {folder}")
        return ()
    try:
        paths = {path.stem: path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES}
    except OSError as error:
        problems.append(f"cannot list {folder}: {error.strerror or error}")
        return ()
    listed = expressions.frames.get(video.name, ()) if expressions else ()
    needed = sorted({*video.frame_ids, *listed})
    problems.extend(f"no frame {folder / (frame + '.jpg')}" for frame in needed if frame not in paths)
    known = {*video.frame_ids}
    problems.extend(
        f"no annotation {video.annotation_paths[0].with_stem(frame)} for the frame {paths[frame]}"
        for frame in sorted(paths)
        if frame not in known
    )
    return tuple(paths[frame] for frame in video.frame_ids if frame in paths)


def _queries(
    video: AnnotatedVideo, expressions: Expressions, sets: Sequence[int], problems: list[str]
) -> dict[int, tuple[str, ...]]:
    queries = {}
    objects = range(1, video.object_count + 1)
    for index in sets:
        by_object = expressions.of(index, video.name)
        source = expressions.sources[index]
        problems.extend(
            f"object {object_id} of {video.name} has no expression in set {index} ({source})"
            for object_id in objects
            if object_id not in by_object
        )
        problems.extend(
            f"set {index} ({source}) has an expression for object {object_id} of {video.name}, "
            f"whose first annotation has {video.object_count} object{'s' if video.object_count > 1 else ''}"
            for object_id in sorted(by_object)
            if object_id not in objects
        )
        queries[index] = tuple(by_object[object_id] for object_id in objects if object_id in by_object)
    return queries
