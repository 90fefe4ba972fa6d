"""The overlay's legend: which colour is which query, and how sure the classifier is of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carvid.media.lettering import elide, line_height_px, text_coverage
from carvid.media.palette import voc_palette
from carvid.result import FrameResult

_MARGIN_PX = 4
_BACKDROP = 0.35
"""How much of the frame's brightness is left behind the legend."""
_PRESENT = (255, 255, 255)
_ABSENT = (150, 150, 150)
_SCORE_SAMPLE = " absent 0.00"


@dataclass(frozen=True, eq=False)
class _Row:
    name: NDArray[np.uint8]
    colour: NDArray[np.uint8]


class Legend:
    """One row per query in the top left corner: colour, name, and its score in the frame.

    A present query has white letters and its mask's colour. An absent one is grey, with the word "absent"
    before its score. A name wider than half the frame is cut and ends in "...". If not all rows fit, the last one
    says how many are missing; a frame too small for a single row gets no legend.

    Args:
        queries: the query set, in the caller's order.
        height, width: of the frames, in pixels.
    """

    def __init__(self, queries: Sequence[str], height: int, width: int) -> None:
        self._size_px = min(40, max(11, height // 28))
        self._line_px = line_height_px(self._size_px)
        room = (height - 2 * _MARGIN_PX) // self._line_px
        shown = len(queries) if len(queries) <= room else max(0, room - 1)
        self._hidden = len(queries) - shown if room > 0 else 0
        self._name_x = 2 * _MARGIN_PX + self._size_px
        score_px = text_coverage(_SCORE_SAMPLE, self._size_px).shape[1] + _MARGIN_PX
        # Half the width at most, so that a long name does not darken the whole top of the frame.
        name_px = min(width // 2, width - self._name_x - score_px - 2 * _MARGIN_PX)
        self._rows = [
            _Row(text_coverage(elide(query, self._size_px, name_px), self._size_px), _label_colour(i))
            for i, query in enumerate(queries[:shown])
        ]
        self._score_x = self._name_x + max((row.name.shape[1] for row in self._rows), default=0) + _MARGIN_PX
        self._width = min(width, self._score_x + score_px)

    def draw(self, canvas: NDArray[np.uint8], result: FrameResult) -> None:
        """Draw the legend for a frame's result onto `canvas`, (H, W, 3) uint8 RGB, in place."""
        if not self._rows and not self._hidden:
            return
        rows = len(self._rows) + bool(self._hidden)
        box = canvas[: 2 * _MARGIN_PX + rows * self._line_px, : self._width]
        box[:] = (box * _BACKDROP).astype(np.uint8)
        y = _MARGIN_PX
        for row, score, present in zip(self._rows, result.scores, result.present, strict=False):
            colour = _PRESENT if present else _ABSENT
            self._swatch(box, y, row.colour if present else None)
            self._text(box, y, self._name_x, row.name, colour)
            words = f"{score:.2f}" if present else f"absent {score:.2f}"
            self._text(box, y, self._score_x, text_coverage(words, self._size_px), colour)
            y += self._line_px
        if self._hidden:
            words = f"+ {self._hidden} more" if self._rows else f"{self._hidden} queries"
            self._text(box, y, self._name_x, text_coverage(words, self._size_px), _PRESENT)

    def _swatch(self, box: NDArray[np.uint8], y: int, colour: NDArray[np.uint8] | None) -> None:
        side = self._size_px
        top = y + (self._line_px - side) // 2
        # With a light border, as the palette's first colours are nearly as dark as the backdrop.
        box[top : top + side, _MARGIN_PX : _MARGIN_PX + side] = _PRESENT if colour is not None else _ABSENT
        inner = box[top + 1 : top + side - 1, _MARGIN_PX + 1 : _MARGIN_PX + side - 1]
        inner[:] = colour if colour is not None else 0

    def _text(
        self,
        box: NDArray[np.uint8],
        y: int,
        x: int,
        coverage: NDArray[np.uint8],
        colour: tuple[int, int, int],
    ) -> None:
        target = box[y : y + coverage.shape[0], x : x + coverage.shape[1]]
        share = coverage[: target.shape[0], : target.shape[1], None] / np.float32(255)
        target[:] = (target * (1 - share) + np.array(colour, np.float32) * share).round().astype(np.uint8)


def _label_colour(i: int) -> NDArray[np.uint8]:
    colour: NDArray[np.uint8] = voc_palette()[i + 1]
    return colour
