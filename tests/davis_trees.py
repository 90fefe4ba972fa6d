"""Small Ref-DAVIS trees and predictions on disk, from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.media.palette import write_label_png

Frames = Sequence[NDArray[np.uint8]]
SIZE = (12, 16)
TEXT_FILES = ("annot1", "annot1_full_video", "annot2", "annot2_full_video")


def boxes(**corners: tuple[int, int]) -> NDArray[np.uint8]:
    """A 12 x 16 label map; `_2=(3, 4)` puts a 4 x 4 box of label 2 with its corner at row 3, column 4."""
    labels = np.zeros(SIZE, np.uint8)
    for name, (top, left) in corners.items():
        labels[top : top + 4, left : left + 4] = int(name[1:])
    return labels


def write_masks(folder: Path, videos: Mapping[str, Frames]) -> Path:
    for video, frames in videos.items():
        (folder / video).mkdir(parents=True, exist_ok=True)
        for index, labels in enumerate(frames):
            write_label_png(folder / video / f"{index:05d}.png", labels)
    return folder


def write_truth(root: Path, videos: Mapping[str, Frames], annotations: str = "Annotations") -> Path:
    """Annotations and the split's list only."""
    write_masks(root / annotations / "480p", videos)
    (root / "ImageSets" / "2017").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("\n".join(videos) + "\n")
    return root


def write_images(root: Path, videos: Mapping[str, Frames]) -> Path:
    for video, frames in videos.items():
        folder = root / "JPEGImages" / "480p" / video
        folder.mkdir(parents=True, exist_ok=True)
        for index, labels in enumerate(frames):
            Image.fromarray(np.stack([labels * 40] * 3, axis=2)).save(folder / f"{index:05d}.jpg")
    return root


def write_texts(
    root: Path, lines: Sequence[str] | Sequence[Sequence[str]], encodings: Sequence[str] = ()
) -> Path:
    """The same lines in all four files, or four lists of lines."""
    per_file = [lines] * 4 if not lines or isinstance(lines[0], str) else lines
    folder = root / "davis_text_annotations"
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(TEXT_FILES):
        encoding = encodings[place] if encodings else ("utf-8", "utf-8", "latin-1", "latin-1")[place]
        (folder / f"Davis17_{name}.txt").write_bytes(("\n".join(per_file[place]) + "\n").encode(encoding))
    return root
