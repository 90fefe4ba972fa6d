"""Frames in: video files and image folders, one upright RGB `Frame` at a time."""

from carvid.stream.frame_stream import FrameStream
from carvid.stream.open import READERS, open_frames
from carvid.stream.source import Damage, NoFrameError, Selection, StreamInfo

__all__ = ["READERS", "Damage", "FrameStream", "NoFrameError", "Selection", "StreamInfo", "open_frames"]
