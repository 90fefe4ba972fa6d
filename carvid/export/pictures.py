"""The labelled frames of a video together with their pictures, decoded from the source again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.errors import InputError
from carvid.store.checks import TEXT
from carvid.store.database import Dataset
from carvid.store.rows import Annotation, FrameRow, Video
from carvid.stream import open_frames
from carvid.stream.identity import identify_source

JPEG_QUALITY = 95


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame, its annotations by object id, and its picture: (H, W, 3) uint8 RGB."""

    row: FrameRow
    annotations: tuple[Annotation, ...]
    image: NDArray[np.uint8]


def labelled_frames(dataset: Dataset, video: Video) -> Iterator[LabelledFrame]:
    """The labelled frames of a video, by index, each with its picture.

    Raises InputError if the source is missing, is not the one that was labelled (by its SHA-256), or does not
    give a frame that was labelled.
    """
    _check_source(video)
    # Frames between two labelled ones are decoded too: only by decoding is a frame's index known.
    with open_frames(
        video.source,
        reader=dataset.setting("stream", "reader", TEXT),
        start_frame=video.start_frame,
        stop_frame=video.stop_frame,
    ) as stream:
        for row, annotations in dataset.annotations(video.id):
            for frame in stream:
                if frame.index >= row.frame_index:
                    break
            else:
                raise _unlike(video, f"ends before frame {row.frame_index}")
            if frame.index != row.frame_index:
                raise _unlike(video, f"does not give frame {row.frame_index}")
            if frame.image.shape[:2] != (row.height, row.width):
                height, width = frame.image.shape[:2]
                raise _unlike(
                    video, f"gives frame {row.frame_index} as {width}x{height}, not {row.width}x{row.height}"
                )
            yield LabelledFrame(row, annotations, frame.image)


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """An (H, W, 3) uint8 RGB picture as the bytes of a JPEG, colour at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """An (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA uint8 picture as the bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def _check_source(video: Video) -> None:
    path = Path(video.source)
    if not path.exists():
        raise InputError(
            f"the source of video {video.id} is not there: {path}; bring it back, or export without pictures "
            "(--no-images)"
        )
    if video.sha256 is not None and identify_source(path)["sha256"] != video.sha256:
        raise _unlike(video, "has another SHA-256")


def _unlike(video: Video, what: str) -> InputError:
    return InputError(
        f"{video.source} is not as it was when video {video.id} was labelled: it {what}; label it again, or "
        "export without pictures (--no-images)"
    )
