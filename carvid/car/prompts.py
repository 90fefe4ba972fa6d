"""v: visual prompts drawn on the whole frame around each query's binary mask (eq. 4).

Region prompts (blur, gray, black) change what lies outside the mask; outline prompts (circle, rectangle,
contour) are then drawn over it, 1 px wide and red. Several may be drawn on one image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

RED = (255, 0, 0)
# OpenCV's 15x15 Gaussian for 8-bit images (sigma 2.6 px), in 1/256: its fixed-point weights, so that the blur is
# the same to the last bit. Sums stay below 2^24, where float32 still counts in ones.
BLUR_WEIGHTS = (1, 3, 6, 12, 20, 30, 36, 40, 36, 30, 20, 12, 6, 3, 1)
# OpenCV's weights of R, G and B for gray, in 1/32768.
GRAY_WEIGHTS = (9798, 19235, 3735)


def _blur(image: Tensor) -> Tensor:
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
    """Indices of a side of `size` px with `reach` mirrored px before and after it, however short the side."""
    if size == 1:
        return torch.zeros(2 * reach + 1, dtype=torch.long, device=device)
    period = 2 * (size - 1)
    position = torch.arange(-reach, size + reach, device=device) % period
    return torch.minimum(position, period - position)


def _gray(image: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) in all three channels of an (H, W, 3) uint8 image."""
    weights = torch.tensor(GRAY_WEIGHTS, dtype=torch.float32, device=image.device)
    luma = ((image.float() @ weights + 16384) / 32768).floor_().to(torch.uint8)
    return luma[:, :, None].expand_as(image)


def _black(image: Tensor) -> Tensor:
    return torch.zeros_like(image)


REGION_PROMPTS: dict[str, Callable[[Tensor], Tensor]] = {"blur": _blur, "gray": _gray, "black": _black}


def _box_and_centroid(mask: Tensor) -> tuple[tuple[int, int, int, int], tuple[float, float]]:
    """Bounding box (x, y, width, height) and centroid (x, y) of a non-empty (H, W) bool mask, in px."""
    columns, rows = mask.sum(0, dtype=torch.float64), mask.sum(1, dtype=torch.float64)
    xs, ys = columns.nonzero()[:, 0], rows.nonzero()[:, 0]
    area = columns.sum()
    x_mean = (columns * torch.arange(len(columns), device=mask.device)).sum() / area
    y_mean = (rows * torch.arange(len(rows), device=mask.device)).sum() / area
    stats = torch.stack([xs[0], xs[-1], ys[0], ys[-1], x_mean, y_mean]).tolist()
    x0, x1, y0, y1 = (int(value) for value in stats[:4])
    return (x0, y0, x1 - x0 + 1, y1 - y0 + 1), (stats[4], stats[5])


def _circle(mask: Tensor) -> Tensor:
    (_, _, width, height), (x_mean, y_mean) = _box_and_centroid(mask)
    line = np.zeros(mask.shape, np.uint8)
    centre, axes = (round(x_mean), round(y_mean)), (max(1, width // 2), max(1, height // 2))
    cv2.ellipse(line, centre, axes, 0, 0, 360, 1, 1)
    return torch.from_numpy(line).to(mask.device).bool()


def _rectangle(mask: Tensor) -> Tensor:
    (x, y, width, height), _ = _box_and_centroid(mask)
    line = torch.zeros_like(mask)
    line[y : y + height, x : x + width] = True
    line[y + 1 : y + height - 1, x + 1 : x + width - 1] = False
    return line


def _contour(mask: Tensor) -> Tensor:
    """The mask's pixels that touch a pixel outside it by a side; the image's border counts as outside."""
    padded = F.pad(mask[None, None].float(), (1, 1, 1, 1))[0, 0].bool()
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


OUTLINE_PROMPTS: dict[str, Callable[[Tensor], Tensor]] = {
    "circle": _circle,
    "rectangle": _rectangle,
    "contour": _contour,
}


def draw_prompts(image: Tensor, masks: Tensor, prompts: Sequence[str]) -> Tensor:
    """One visually prompted image per query: x'_t = v(x, y_t) (eq. 4).

    image: (H, W, 3) uint8 RGB. masks: (N, H, W) bool, y_t binarised at eta. prompts: names out of
    `carvid.config.PROMPTS`.
    Returns (N, H, W, 3) uint8 RGB. An empty mask gets no outline, and its whole image is the outside.
    """
    outside = image
    for name in prompts:
        if name in REGION_PROMPTS:
            outside = REGION_PROMPTS[name](outside)
    prompted = torch.where(masks[..., None], image, outside)  # (N, H, W, 3)
    red = torch.tensor(RED, dtype=torch.uint8, device=image.device)
    outlines = [OUTLINE_PROMPTS[name] for name in prompts if name in OUTLINE_PROMPTS]
    for i, mask in enumerate(masks):
        if outlines and bool(mask.any()):
            for outline in outlines:
                prompted[i][outline(mask)] = red
    return prompted
