"""The overlay video: coloured masks, outlines and a legend over the source's frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.media.paint import fit, paint_labels
from carvid.media.palette import MAX_LABELS
from carvid.media.video_writer import VideoWriter
from carvid.result import FrameResult
from carvid.sinks.legend import Legend, letter_size_px
from carvid.sinks.track_ids import draw_ids

DEFAULT_FRAME_RATE = Fraction(24)
"""Frames per second where the source has no rate, as a folder of images has none; DAVIS's own rate."""


class OverlaySink:
    """Writes the overlay to `path` as H.264, whole or not at all; without a frame, no file (`VideoWriter`).

    Each label of the label map is blended over the frame in its DAVIS palette colour and outlined; tracks have their
    ids written onto them; the legend names the queries with their scores. The first frame's size is kept: a later
    frame of another size is scaled to fit and centred on black. Frames are shown at the source's timestamps, so that a
    damaged source, or one of variable rate, plays at its own speed. Without timestamps, the overlay's rate is the
    source's, as an exact fraction, divided by `every`.

    Args:
        path: the file, replaced if it exists.
        queries: the query set, in the caller's order.
        frame_rate: the source's frames per second; None for `DEFAULT_FRAME_RATE`.
        every: the stream holds one of every `every` frames of the source; at least 1.
        pixel_aspect: a pixel's width by its height in the source, which players of the overlay then keep.

    Raises:
        UsageError: more queries than the palette has colours (255), `every`, a rate or a pixel aspect that is
            not positive.
    """

    def __init__(
        self,
        path: Path,
        queries: Sequence[str],
        *,
        frame_rate: Fraction | None,
        every: int = 1,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        if len(queries) > MAX_LABELS:
            raise UsageError(
                f"the overlay has colours for {MAX_LABELS} queries, not for {len(queries)}; "
                "write none (--no-overlay) or give fewer queries"
            )
        if every < 1:
            raise UsageError(f"every is 1 or more, not {every}")
        rate = DEFAULT_FRAME_RATE if frame_rate is None else frame_rate
        self.queries = tuple(queries)
        self.path = path
        self._video = VideoWriter(path, rate / every, pixel_aspect=pixel_aspect)
        self._legend: Legend | None = None
        self._height = self._width = 0

    def __enter__(self) -> OverlaySink:
        self._video.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._video.__exit__(kind, error, trace)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Append a frame to the overlay.

        Raises:
            OutputError: if it cannot be encoded or written.
        """
        if self._legend is None:
            self._height, self._width = frame.image.shape[:2]
            self._legend = Legend(self.queries, self._height, self._width)
        painted = paint_labels(frame.image, result.label_map)
        if result.has_tracks:
            ids = (one.id for one in result.objects)
            draw_ids(painted, result.label_map, ids, letter_size_px(frame.image.shape[0]))
        canvas = fit(painted, self._height, self._width)
        self._legend.draw(canvas, result)
        self._video.write(canvas, frame.pts_seconds)
