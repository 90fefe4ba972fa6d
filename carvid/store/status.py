"""How far the labelling of a dataset has come; may be asked at any time, from any process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carvid.store.database import open_dataset
from carvid.workers.states import DONE, FAILED, RUNNING, WAITING


@dataclass(frozen=True)
class Status:
    """counts: videos by state; one whose process was killed counts as running until labelling is resumed.

    frames: frames labelled in videos that are done. running: path and frames so far of each running video, and of each
    that waits with some of its pieces labelled.
    failed: path and reason of each failed video. damaged: path and damage of each damaged video that is done.
    """

    counts: dict[str, int]
    frames: int
    running: tuple[tuple[str, int], ...]
    failed: tuple[tuple[str, str], ...]
    damaged: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "videos": self.counts,
            "frames": self.frames,
            "running": [{"path": path, "frames": frames} for path, frames in self.running],
            "failed": [{"path": path, "error": error} for path, error in self.failed],
            "damaged": [{"path": path, "damage": damage} for path, damage in self.damaged],
        }


def read_status(dataset: Path) -> Status:
    """How far the labelling of the dataset has come. Raises InputError where there is no dataset."""
    counts = dict.fromkeys((WAITING, RUNNING, DONE, FAILED), 0)
    frames = 0
    running, failed, damaged = [], [], []
    with open_dataset(dataset) as labelled:
        for video in labelled.videos():
            counts[video.status] += 1
            if video.is_done:
                frames += video.frame_count or 0
                if video.damage:
                    damaged.append((video.path, "; ".join(map(str, video.damage))))
            elif video.status == FAILED:
                failed.append((video.path, video.error or ""))
            elif video.status == RUNNING or video.frame_count:
                running.append((video.path, video.frame_count or 0))
    return Status(counts, frames, tuple(running), tuple(failed), tuple(damaged))
