"""carvid: video referring segmentation with CLIP as RNN (CaR, CVPR 2024).

segmenter = carvid.VideoSegmenter.from_pretrained(queries=["the red car"])
with carvid.open_frames("video.mp4") as frames:
    for result in segmenter.run(frames): ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carvid.errors import CarvidError, InputError, OutputError, UsageError, WeightsError
from carvid.evidence import RecurrentStep
from carvid.frame import Frame
from carvid.result import FrameResult

if TYPE_CHECKING:
    from carvid.segmenter import VideoSegmenter
    from carvid.stream import open_frames

__version__ = "0.1.0"

__all__ = [
    "CarvidError",
    "Frame",
    "FrameResult",
    "InputError",
    "OutputError",
    "RecurrentStep",
    "UsageError",
    "VideoSegmenter",
    "WeightsError",
    "open_frames",
]


def __getattr__(name: str) -> Any:
    # Imported on use: torch and FFmpeg take seconds to import, and `carvid --help` needs neither.
    if name == "VideoSegmenter":
        from carvid.segmenter import VideoSegmenter

        return VideoSegmenter
    if name == "open_frames":
        from carvid.stream import open_frames

        return open_frames
    raise AttributeError(f"module 'carvid' has no attribute {name!r}")
