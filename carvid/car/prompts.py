"""v: visual prompts drawn on the whole frame around each query's binary mask (eq. 4).

Region prompts (blur, gray, black) change the pixels outside the mask; outline prompts (circle, rectangle,
contour) are then drawn on top, 1 px wide and red. Several may be drawn on one image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

RED = (255, 0, 0)
# The fixed-point weights, in 1/256, of OpenCV's 15x15 Gaussian for 8-bit images (sigma 2.6 px), so that the blur is
# the same to the last bit. Sums stay below 2^24, up to which float32 holds every whole number.
BLUR_WEIGHTS = (1, 3, 6, 12, 20, 30, 36, 40, 36, 30, 20, 12, 6, 3, 1)
# OpenCV's weights of R, G and B in gray, in 1/32768.
GRAY_WEIGHTS = (9798, 19235, 3735)


def _blur(image: Tensor, switches: Sequence[str]) -> Tensor:
    """15x15 Gaussian of an (H, W, 3) uint8 image, borders mirrored without repeating the edge."""
    reach = len(BLUR_WEIGHTS) // 2
    height, width = image.shape[:2]
    rows, columns = (_mirrored(side, reach, image.device) for side in (height, width))
    weights = [float(weight) for weight in BLUR_WEIGHTS]
    tall = image.float()[rows]  # (H + 14, W, 3)
    blurred = tall[:height] * weights[0]
    for i in range(1, len(weights)):
        blurred.add_(tall[i : i + height], alpha=weights[i])
    wide = blurred[:, columns]  # (H, W + 14, 3)
    blurred = wide[:, :width] * weights[0]
    for i in range(1, len(weights)):
        blurred.add_(wide[:, i : i + width], alpha=weights[i])
    return (blurred / 65536).add_(0.5).floor_().to(torch.uint8)


def _mirrored(size: int, reach: int, device: torch.device) -> Tensor:
    """Indices into a side of `size` px, extended by `reach` mirrored px at both ends, however short the side."""
    if size == 1:
        return torch.zeros(2 * reach + 1, dtype=torch.long, device=device)
    period = 2 * (size - 1)
    position = torch.arange(-reach, size + reach, device=device) % period
    return torch.minimum(position, period - position)


def _gray(image: Tensor, switches: Sequence[str]) -> Tensor:
    """Luma (ITU-R BT.601) in all three channels of an (H, W, 3) uint8 image."""
    order = reversed(GRAY_WEIGHTS) if "gray-swapped" in switches else GRAY_WEIGHTS
    weights = torch.tensor([*order], dtype=torch.float32, device=image.device)
    luma = ((image.float() @ weights + 16384) / 32768).floor_().to(torch.uint8)
    return luma[:, :, None].expand_as(image)


def _black(image: Tensor, switches: Sequence[str]) -> Tensor:
    return torch.zeros_like(image)


# An image (H, W, 3) uint8 RGB, and switches -> what of it is seen outside a mask.
REGION_PROMPTS: dict[str, Callable[[Tensor, Sequence[str]], Tensor]] = {
    "blur": _blur,
    "gray": _gray,
    "black": _black,
}


@dataclass(frozen=True)
class _Boxes:
    """The bounding boxes of N masks, all int64 and in px.

    first, last: (N, 2), x and y of the top left and bottom right pixel; in an empty mask first is greater than last.
    sums: (N, 2), the sums of all pixels' x and y. area: (N,), the number of pixels.
    """

    first: Tensor
    last: Tensor
    sums: Tensor
    area: Tensor

    def on_centroid(self) -> _Boxes:
        """Boxes that reach half a box's width and height from the centroid, each in whole px; empty ones stay."""
        centre = self.sums // self.area.clamp(min=1)[:, None]
        half = (self.last - self.first + 1) // 2
        empty = (self.area == 0)[:, None]
        first, last = self.first.where(empty, centre - half), self.last.where(empty, centre + half)
        return replace(self, first=first, last=last)


def _boxes(masks: Tensor) -> _Boxes:
    """Boxes of (N, H, W) bool masks, on their device."""
    first, last, sums = [], [], []
    for counts in (masks.sum(1), masks.sum(2)):  # (N, W), then (N, H)
        size = counts.shape[1]
        position = torch.arange(size, device=masks.device)
        seen = counts > 0
        first.append(torch.where(seen, position, size).amin(1))
        last.append(torch.where(seen, position, -1).amax(1))
        sums.append((counts * position).sum(1))
    return _Boxes(torch.stack(first, 1), torch.stack(last, 1), torch.stack(sums, 1), masks.sum((1, 2)))


def _circles(masks: Tensor, switches: Sequence[str]) -> Tensor:
    """Ellipses around the masks' centroids, as wide and high as their boxes; drawn on the host, with one copy of the
    boxes."""
    boxes = _boxes(masks)
    stats = torch.cat([boxes.first, boxes.last, boxes.sums, boxes.area[:, None]], 1).cpu().numpy()
    lines = np.zeros(masks.shape, np.uint8)
    cut = "circle-cut-centre" in switches
    whole, least = (int, 0) if cut else (round, 1)
    for line, (x0, y0, x1, y1, x, y, area) in zip(lines, stats.tolist(), strict=True):
        if area:
            axes = (max(least, (x1 - x0 + 1) // 2), max(least, (y1 - y0 + 1) // 2))
            cv2.ellipse(line, (whole(x / area), whole(y / area)), axes, 0, 0, 360, 1, 1)
    return torch.from_numpy(lines).to(masks.device).bool()


def _rectangles(masks: Tensor, switches: Sequence[str]) -> Tensor:
    boxes = _boxes(masks)
    if "rectangle-on-centroid" in switches:
        boxes = boxes.on_centroid()
    height, width = masks.shape[1:]
    within, inner = [], []
    for axis, size in ((0, width), (1, height)):
        position = torch.arange(size, device=masks.device)
        first, last = boxes.first[:, axis, None], boxes.last[:, axis, None]
        within.append((position >= first) & (position <= last))
        inner.append((position > first) & (position < last))
    (across, down), (inner_across, inner_down) = within, inner
    return (down[:, :, None] & across[:, None]) & ~(inner_down[:, :, None] & inner_across[:, None])


def _contours(masks: Tensor, switches: Sequence[str]) -> Tensor:
    """The masks' pixels that share a side with a pixel outside the mask; beyond the image counts as outside."""
    if "contour-filled" in switches:
        masks = _filled(masks)
    outside = F.pad(~masks, (1, 1, 1, 1), value=True)
    beside = outside[:, :-2, 1:-1] | outside[:, 2:, 1:-1] | outside[:, 1:-1, :-2] | outside[:, 1:-1, 2:]
    return masks & beside


def _filled(masks: Tensor) -> Tensor:
    """Masks (N, H, W) bool with their holes, to which no path over sides leads from beyond the image; on the host."""
    filled = []
    for mask in masks.cpu().numpy():
        around = np.pad(mask.astype(np.uint8), 1)
        cv2.floodFill(around, None, (0, 0), 2)
        filled.append(around[1:-1, 1:-1] != 2)
    return torch.from_numpy(np.stack(filled)).to(masks.device)


# (N, H, W) bool masks, and switches -> their outlines (N, H, W) bool; an empty mask has none.
OUTLINE_PROMPTS: dict[str, Callable[[Tensor, Sequence[str]], Tensor]] = {
    "circle": _circles,
    "rectangle": _rectangles,
    "contour": _contours,
}


# The order of the released code.
_DRAWING_ORDER = (*REGION_PROMPTS, *OUTLINE_PROMPTS)


def draw_prompts(
    image: Tensor, masks: Tensor, prompts: Sequence[str], switches: Sequence[str] = ()
) -> Tensor:
    """One visually prompted image per query: x'_t = v(x, y_t) (eq. 4).

    image: (H, W, 3) uint8 RGB. masks: (N, H, W) bool, y_t binarised at eta, N at least 1. prompts: names in
    `carvid.recipe.settings.PROMPTS`. switches: names in `carvid.recipe.variant.SWITCHES`.
    Returns (N, H, W, 3) uint8 RGB. An empty mask gets no outline, and its whole image counts as outside.
    """
    if "drawing-order" in switches:
        prompts = sorted(prompts, key=_DRAWING_ORDER.index)
    outside = image
    for name in prompts:
        if name in REGION_PROMPTS:
            outside = REGION_PROMPTS[name](outside, switches)
    prompted = torch.where(masks[..., None], image, outside)  # (N, H, W, 3)
    red = torch.tensor(RED, dtype=torch.uint8, device=image.device)
    for name in prompts:
        if name in OUTLINE_PROMPTS:
            prompted[OUTLINE_PROMPTS[name](masks, switches)] = red
    return prompted
