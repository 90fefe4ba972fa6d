"""What a run writes: palette PNG files, an overlay video, a line of JSON per frame, and the run's record.

A sink is a context manager that takes one `FrameResult` with its `Frame` at a time, and keeps none of them.
"""

from carvid.sinks.mask_files import MaskSink
from carvid.sinks.overlay import OverlaySink
from carvid.sinks.results import ResultsSink, read_results

__all__ = ["MaskSink", "OverlaySink", "ResultsSink", "read_results"]
