"""carvid: video referring segmentation with CLIP as RNN (CaR, CVPR 2024).

segmenter = carvid.VideoSegmenter.from_pretrained(queries=["the red car"])
with carvid.open_frames("video.mp4") as frames:
    for result in segmenter.run(frames): ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from carvid.errors import CarvidError, InputError, OutputError, UsageError, WeightsError
from carvid.evidence import Evidence, FrameOrigin, RecurrentStep
from carvid.frame import Frame
from carvid.result import FrameResult, ObjectResult, QueryVerdict

if TYPE_CHECKING:
    from carvid.loading import load_model
    from carvid.recipe import Recipe, load_recipe
    from carvid.segmenter import VideoSegmenter
    from carvid.stream import open_frames

__version__ = "0.1.0"

__all__ = [
    "CarvidError",
    "Evidence",
    "Frame",
    "FrameOrigin",
    "FrameResult",
    "InputError",
    "ObjectResult",
    "OutputError",
    "QueryVerdict",
    "Recipe",
    "RecurrentStep",
    "UsageError",
    "VideoSegmenter",
    "WeightsError",
    "load_model",
    "load_recipe",
    "open_frames",
]


# torch and FFmpeg take seconds to import; `carvid --help` needs neither.
_LATER = {
    "Recipe": "carvid.recipe",
    "VideoSegmenter": "carvid.segmenter",
    "load_model": "carvid.loading",
    "load_recipe": "carvid.recipe",
    "open_frames": "carvid.stream",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'carvid' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
