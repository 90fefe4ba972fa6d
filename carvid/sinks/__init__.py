"""Masks out: palette PNG files, an overlay video, a line of JSON per frame, and the run's manifest.

A sink is a context manager fed one `FrameResult` with its `Frame` at a time; it holds none of them.
"""

from carvid.sinks.masks import MaskSink
from carvid.sinks.overlay import OverlaySink
from carvid.sinks.palette import read_label_png, voc_palette, write_label_png
from carvid.sinks.results import ResultsSink, read_results
from carvid.sinks.rle import decode_rle, encode_rle

__all__ = [
    "MaskSink",
    "OverlaySink",
    "ResultsSink",
    "decode_rle",
    "encode_rle",
    "read_label_png",
    "read_results",
    "voc_palette",
    "write_label_png",
]
