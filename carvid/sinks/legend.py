"""The overlay's legend: which colour is which query or which of its tracks, and how sure the classifier is of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carvid.media.lettering import blend_text, elide, line_height_px, text_coverage
from carvid.media.palette import voc_palette
from carvid.result import FrameResult, QueryVerdict

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


@dataclass(frozen=True, eq=False)
class _Chip:
    """A track in a row: a swatch at `x` in its colour, and its id behind it; or text alone, without a colour."""

    x: int
    colour: NDArray[np.uint8] | None
    text_x: int
    text: NDArray[np.uint8]

    @property
    def end_x(self) -> int:
        return self.text_x + int(self.text.shape[1])


def letter_size_px(height: int) -> int:
    """The size of the letters in a frame of that height, in px."""
    return min(40, max(11, height // 28))


class Legend:
    """One row per query in the top left corner: colour, name, and its score in the frame.

    A present query has white letters and its mask's colour. An absent one is grey, with the word "absent"
    before its score. Where there are tracks, the colour and id of each that is in the frame stand behind its query's
    score, as many as there is room for. A name wider than half the frame is cut and ends in "...". If not all rows fit,
    the last one says how many are missing; a frame too small for a single row gets no legend.

    Args:
        queries: the query set, in the caller's order.
        height, width: of the frames, in pixels.
    """

    def __init__(self, queries: Sequence[str], height: int, width: int) -> None:
        self._size_px = letter_size_px(height)
        self._line_px = line_height_px(self._size_px)
        room = (height - 2 * _MARGIN_PX) // self._line_px
        shown = len(queries) if len(queries) <= room else max(0, room - 1)
        self._hidden = len(queries) - shown if room > 0 else 0
        self._name_x = 2 * _MARGIN_PX + self._size_px
        score_px = self._letters(_SCORE_SAMPLE).shape[1] + _MARGIN_PX
        # Half the width at most, so that a long name does not darken the whole top of the frame.
        name_px = min(width // 2, width - self._name_x - score_px - 2 * _MARGIN_PX)
        self._rows = [
            _Row(self._letters(elide(query, self._size_px, name_px)), _label_colour(label))
            for label, query in enumerate(queries[:shown], 1)
        ]
        self._score_x = self._name_x + max((row.name.shape[1] for row in self._rows), default=0) + _MARGIN_PX
        self._width = min(width, self._score_x + score_px)
        self._frame_width = width

    def draw(self, canvas: NDArray[np.uint8], result: FrameResult) -> None:
        """Draw the legend for a frame's result onto `canvas`, (H, W, 3) uint8 RGB, in place."""
        if not self._rows and not self._hidden:
            return
        rows = len(self._rows) + bool(self._hidden)
        scores = [self._letters(_said(query)) for query in result.queries[: len(self._rows)]]
        tracks = [
            self._chips(_ids(result, query), self._score_x + score.shape[1] + _MARGIN_PX)
            for query, score in zip(result.queries, scores, strict=False)
        ]
        width = max([self._width, *(chips[-1].end_x + _MARGIN_PX for chips in tracks if chips)])
        box = canvas[: 2 * _MARGIN_PX + rows * self._line_px, :width]
        box[:] = (box * _BACKDROP).astype(np.uint8)
        y = _MARGIN_PX
        for row, query, score, chips in zip(self._rows, result.queries, scores, tracks, strict=False):
            colour = _PRESENT if query.present else _ABSENT
            if not result.has_tracks:
                self._swatch(box, y, _MARGIN_PX, row.colour if query.present else None)
            blend_text(box, y, self._name_x, row.name, colour)
            blend_text(box, y, self._score_x, score, colour)
            for chip in chips:
                if chip.colour is not None:
                    self._swatch(box, y, chip.x, chip.colour)
                blend_text(box, y, chip.text_x, chip.text, _PRESENT)
            y += self._line_px
        if self._hidden:
            words = f"+ {self._hidden} more" if self._rows else f"{self._hidden} queries"
            blend_text(box, y, self._name_x, self._letters(words), _PRESENT)

    def _chips(self, ids: Sequence[int], x: int) -> list[_Chip]:
        """A chip for each track from `x` on, as many as there is room for; then the number of the others."""
        shown: list[_Chip] = []
        for number in ids:
            text_x = x + self._size_px + _MARGIN_PX
            shown.append(_Chip(x, _label_colour(number), text_x, self._letters(str(number))))
            x = shown[-1].end_x + _MARGIN_PX
        others: list[_Chip] = []
        while shown and (others or shown)[-1].end_x > self._frame_width:
            x = shown.pop().x
            others = [_Chip(x, None, x, self._letters(f"+{len(ids) - len(shown)}"))]
        return shown + others

    def _letters(self, text: str) -> NDArray[np.uint8]:
        return text_coverage(text, self._size_px)

    def _swatch(self, box: NDArray[np.uint8], y: int, x: int, colour: NDArray[np.uint8] | None) -> None:
        side = self._size_px
        top = y + (self._line_px - side) // 2
        # With a light border, as the palette's first colours are nearly as dark as the backdrop.
        box[top : top + side, x : x + side] = _PRESENT if colour is not None else _ABSENT
        inner = box[top + 1 : top + side - 1, x + 1 : x + side - 1]
        inner[:] = colour if colour is not None else 0


def _said(query: QueryVerdict) -> str:
    return f"{query.score:.2f}" if query.present else f"absent {query.score:.2f}"


def _ids(result: FrameResult, query: QueryVerdict) -> list[int]:
    """The ids of the query's tracks in the frame."""
    return [one.id for one in result.objects if one.query == query.query] if result.has_tracks else []


def _label_colour(label: int) -> NDArray[np.uint8]:
    colour: NDArray[np.uint8] = voc_palette()[label]
    return colour
