"""The dataset that the tests of the formats export: two videos, a folder, and two that are not done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from carvid.store.database import open_dataset
from tests.labelled import Labelled, scene, write_dataset
from tests.media import NTSC, moving_square, write_folder, write_video

NASTY = 'a <ring> & "quotes" / ..\\\n{0} 赤い\x07'
QUERIES = (NASTY, "the disk", "a unicorn")


def videos(folder: Path) -> list[Labelled]:
    """Two videos of the same name, a folder of images, one that failed and one that waits."""
    first = write_video_at(folder / "a" / "-clip 赤.mp4", 4)
    second = write_video_at(folder / "b" / "-clip 赤.mp4", 6)
    images = write_folder(folder / "pictures", moving_square(2), names=["2", "10"])
    return [
        Labelled("a/-clip 赤.mp4", first, QUERIES, scene(4), frame_rate=NTSC),
        Labelled(
            "b/-clip 赤.mp4", second, QUERIES[1::-1], scene(3)[:, 1::-1], first=2, stop=5, frame_rate=NTSC
        ),
        Labelled("pictures", images, ("the disk",), scene(2)[:, 1:2], frame_rate=None, names=("2", "10")),
        Labelled("broken.mp4", folder / "broken.mp4", ("the disk",), scene(1)[:, :1], status="failed"),
        Labelled("later.mp4", folder / "later.mp4", ("the disk",), scene(1)[:, :1], status="waiting"),
    ]


def write_video_at(path: Path, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_video(path, moving_square(count))


def case(folder: Path) -> Path:
    """The dataset folder."""
    return write_dataset(folder / "dataset", videos(folder / "input"))


def expected(dataset: Path) -> Iterator[tuple[int, int, tuple[str, ...], np.ndarray, np.ndarray]]:
    """What an export must hold: video id, frame index, queries, masks and the label map's parts (N, H, W)."""
    with open_dataset(dataset) as opened:
        for video in opened.videos():
            texts = tuple(query.text for query in opened.queries(video.id))
            for frame, annotations in opened.annotations(video.id):
                masks = np.stack([annotation.mask() for annotation in annotations])
                parts = np.stack([annotation.label_mask() for annotation in annotations])
                assert (parts <= masks).all()
                assert parts.sum(axis=0).max() <= 1
                yield video.id, frame.frame_index, texts, masks, parts
