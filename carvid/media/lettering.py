"""Text in any script as a coverage mask, independent of the fonts installed on the machine.

Pillow's own font draws ASCII. For other characters OpenCV 5 comes with a font that has Latin, Greek, Cyrillic,
Arabic, Chinese, Japanese and Korean letters; with an older OpenCV, accents are dropped. A character that is
still missing is drawn as the font's sign for that.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

MAX_CHARACTERS = 200
"""More than a row of the legend can show; longer text is cut before it is measured."""

ELLIPSIS = "..."


def printable(text: str) -> str:
    """The text on one line: line breaks, control characters and lone surrogates become single spaces.

    OpenCV 5.0 crashes the process on a lone surrogate, so all text must pass through here before it is drawn.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def text_coverage(text: str, size_px: int) -> NDArray[np.uint8]:
    """Draw one line of text.

    Args:
        text: anything; see `printable`.
        size_px: the font's size, at least 1.

    Returns:
        (line height, width) uint8, 0 where there is no ink and 255 where there is only ink. The line height
        depends on `size_px` alone, the width is at least 1.
    """
    text = printable(text)
    if _lacking(text):
        if hasattr(cv2, "FontFace"):
            return _draw_opencv(text, size_px)
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _draw_pillow(text, size_px)


def blend_text(
    canvas: NDArray[np.uint8], y: int, x: int, coverage: NDArray[np.uint8], colour: tuple[int, int, int]
) -> None:
    """Lay drawn text over `canvas`, (H, W, 3) uint8 RGB, in place; what reaches beyond its right or lower edge is cut.

    y, x: of the text's top left corner in px, at least 0. coverage: from `text_coverage`. colour: RGB in [0, 255].
    """
    target = canvas[y : y + coverage.shape[0], x : x + coverage.shape[1]]
    share = coverage[: target.shape[0], : target.shape[1], None] / np.float32(255)
    target[:] = (target * (1 - share) + np.array(colour, np.float32) * share).round().astype(np.uint8)


def elide(text: str, size_px: int, max_width_px: int) -> str:
    """The text, or as much of its beginning as fits with "..." behind it; "" if not even that fits."""
    text = printable(text)
    if len(text) <= MAX_CHARACTERS and _width(text, size_px) <= max_width_px:
        return text
    low, high = -1, min(len(text), MAX_CHARACTERS)
    while high - low > 1:
        middle = (low + high) // 2
        if _width(text[:middle].rstrip() + ELLIPSIS, size_px) <= max_width_px:
            low = middle
        else:
            high = middle
    return "" if low < 0 else text[:low].rstrip() + ELLIPSIS


def line_height_px(size_px: int) -> int:
    """The height of a line of text, in pixels."""
    ascent, descent = _font(size_px).getmetrics()
    return ascent + descent


def _width(text: str, size_px: int) -> int:
    return int(text_coverage(text, size_px).shape[1])


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ImportError("Pillow was built without FreeType, which drawing the overlay's legend needs")
    return font


@cache
def _has_glyph(character: str) -> bool:
    font = _font(20)
    # No font has a character U+FFFF, so this gives the sign for a missing one.
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


def _lacking(text: str) -> bool:
    return not all(_has_glyph(character) for character in set(text))


def _draw_pillow(text: str, size_px: int) -> NDArray[np.uint8]:
    font = _font(size_px)
    # One line of ink may reach a little past the advance width, hence the extra pixel.
    width = max(1, int(font.getlength(text)) + 1)
    image = Image.new("L", (width, line_height_px(size_px)))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image)


def _draw_opencv(text: str, size_px: int) -> NDArray[np.uint8]:
    face = cv2.FontFace("uni")
    ascent, _ = _font(size_px).getmetrics()
    # OpenCV's size is the height of a capital letter's box; 0.8 brings its letters to the size of Pillow's.
    size = max(1, round(0.8 * size_px))
    x, _, box_width, _ = cv2.getTextSize((0, 0), text, (0, ascent), face, size)
    canvas = np.zeros((line_height_px(size_px), max(1, x + box_width + 1), 3), np.uint8)
    cv2.putText(canvas, text, (0, ascent), (255, 255, 255), face, size)
    return canvas[..., 0]
