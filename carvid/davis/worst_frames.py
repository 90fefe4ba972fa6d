"""The frames that score lowest, as pictures of their annotation and their prediction."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.davis.dataset import FRAME_SUFFIXES, RESOLUTION, GroundTruth
from carvid.davis.labels import decode_label_map
from carvid.davis.protocols import PROTOCOLS, Protocol
from carvid.davis.scores import Scores, VideoScore
from carvid.errors import InputError
from carvid.media.paint import paint_labels
from carvid.paths import exists, is_file

WORST_FRAMES = 24
PICTURE_WIDTH_PX = 480
FILL_ALPHA = 0.35
PLAIN_GREY = 210


@dataclass(frozen=True)
class WorstFrame:
    """The worst frame of a video in a set. values: object id -> (J, F); jf: the mean of all of these."""

    set_index: int
    video: str
    frame_id: str
    protocol: Protocol
    jf: float
    values: Mapping[int, tuple[float, float]]


def worst_frames(scores: Scores, count: int = WORST_FRAMES) -> tuple[WorstFrame, ...]:
    """The worst frame of each video and set, the lowest first, at most `count`.

    By *identity* where that scored the video, else by *matched*.
    """
    found: dict[tuple[int, str], WorstFrame] = {}
    for one in scores.sets:
        for protocol in PROTOCOLS:
            for video in one.protocols[protocol].videos:
                if (one.index, video.video) not in found:
                    found[one.index, video.video] = _worst_of(one.index, protocol, video)
    return tuple(sorted(found.values(), key=lambda frame: frame.jf)[:count])


def _worst_of(set_index: int, protocol: Protocol, video: VideoScore) -> WorstFrame:
    j = np.stack([score.j_per_frame for score in video.objects])  # (K, T)
    f = np.stack([score.f_per_frame for score in video.objects])
    jf = ((j + f) / 2).mean(axis=0)
    place = int(jf.argmin())
    return WorstFrame(
        set_index=set_index,
        video=video.video,
        frame_id=video.frame_ids[place],
        protocol=protocol,
        jf=float(jf[place]),
        values={
            score.object_id: (float(j[row, place]), float(f[row, place]))
            for row, score in enumerate(video.objects)
        },
    )


def picture_pair(frame: WorstFrame, scores: Scores, truth: GroundTruth, root: Path) -> tuple[str, str]:
    """The annotation and the prediction, filled and outlined over the frame, each as a data URL.

    Over plain grey where `root` has no such frame; a missing prediction is empty.
    """
    folder = next(one.folder for one in scores.sets if one.index == frame.set_index)
    name = f"{frame.frame_id}.png"
    annotation = _labels(truth.folder / frame.video / name)
    predicted = folder / frame.video / name
    prediction = _labels(predicted) if exists(predicted, InputError) else np.zeros_like(annotation)
    height, width = annotation.shape
    scale = min(1.0, PICTURE_WIDTH_PX / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    photo = _photo(root, frame, size)
    return _picture(photo, annotation, size), _picture(photo, prediction, size)


def _labels(path: Path) -> NDArray[np.uint8]:
    return decode_label_map(path.read_bytes(), str(path))


def _photo(root: Path, frame: WorstFrame, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    for suffix in FRAME_SUFFIXES:
        path = root / "JPEGImages" / RESOLUTION / frame.video / f"{frame.frame_id}{suffix}"
        if is_file(path, InputError):
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    return None


def _picture(photo: NDArray[np.uint8] | None, labels: NDArray[np.uint8], size: tuple[int, int]) -> str:
    small = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    under = np.full((*small.shape, 3), PLAIN_GREY, np.uint8) if photo is None else photo
    painted = Image.fromarray(paint_labels(under, small, alpha=FILL_ALPHA))
    data = io.BytesIO()
    if photo is None:
        painted.quantize().save(data, "PNG", optimize=True)
        kind = "png"
    else:
        # A photograph as PNG would take ten times the space.
        painted.save(data, "JPEG", quality=88, subsampling=0)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"
