"""Pillow's resizing of uint8 images, equal to it in every value, on any device.

On the CPU it is Pillow itself. Elsewhere it is Pillow's fixed-point arithmetic as two matrix products, which compute
only what a crop keeps: 22-bit coefficients, and whole grey levels after each of the two passes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# How far each filter reaches, in source pixels, when it is not stretched.
_REACH = {"bilinear": 1.0, "bicubic": 2.0}

# Pillow's PRECISION_BITS: 32, less 8 for the pixel and 2 for sums outside 0..1.
_PRECISION_BITS = 22

# How many images of noise may be tried for one that tells the order of Pillow's passes.
_MOST_ASKED = 256


def resize(
    images: Tensor, size: tuple[int, int], resample: str, corner: tuple[int, int], crop: tuple[int, int]
) -> Tensor:
    """The part at `corner`, of size `crop`, of each image resized to `size`; all three are (vertical, horizontal) px.

    images: (B, H, W, 3) uint8 RGB; any device. resample: "bicubic" or "bilinear".
    Returns (B, 3, *crop) float32 on the same device: whole numbers in 0..255.
    """
    if images.device.type == "cpu":
        return by_pillow(images, size, resample, corner, crop)
    return by_matrices(images, size, resample, corner, crop)


def by_pillow(
    images: Tensor, size: tuple[int, int], resample: str, corner: tuple[int, int], crop: tuple[int, int]
) -> Tensor:
    """`resize`, for images on the CPU."""
    (top, left), (height, width) = corner, crop
    resized = np.empty((len(images), height, width, 3), np.uint8)
    for image, out in zip(images.numpy(), resized, strict=True):
        whole = np.asarray(Image.fromarray(image).resize(size[::-1], FILTERS[resample]))
        out[:] = whole[top : top + height, left : left + width]
    return torch.from_numpy(resized).permute(0, 3, 1, 2).float()


def by_matrices(
    images: Tensor, size: tuple[int, int], resample: str, corner: tuple[int, int], crop: tuple[int, int]
) -> Tensor:
    """`resize`, for images on any device."""
    source, device = (images.shape[1], images.shape[2]), images.device
    rows = _coefficients(source[0], size[0], corner[0], crop[0], resample, device)
    columns = _coefficients(source[1], size[1], corner[1], crop[1], resample, device)
    planes = images.permute(0, 3, 1, 2).float()
    if _rows_come_first(source, size, resample):
        return _along_columns(_along_rows(planes, *rows), *columns)
    return _along_rows(_along_columns(planes, *columns), *rows)


def _along_rows(planes: Tensor, parts: Tensor, bits: int) -> Tensor:
    """The vertical pass: (B, 3, H, W) -> (B, 3, count, W)."""
    coarse, fine = (parts.flatten(0, 1) @ planes).chunk(2, dim=-2)
    return _grey_levels(coarse, fine, bits)


def _along_columns(planes: Tensor, parts: Tensor, bits: int) -> Tensor:
    """The horizontal pass: (B, 3, H, W) -> (B, 3, H, count)."""
    coarse, fine = (planes @ parts.flatten(0, 1).T).chunk(2, dim=-1)
    return _grey_levels(coarse, fine, bits)


def _grey_levels(coarse: Tensor, fine: Tensor, bits: int) -> Tensor:
    """The sums of products with both parts of the coefficients, to grey levels: halves up, clipped."""
    total = (coarse.int() << bits) + fine.int() + (1 << (_PRECISION_BITS - 1))
    return (total >> _PRECISION_BITS).clamp_(0, 255).float()


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # kept for later calls, which may be outside inference mode
def _coefficients(
    source: int, target: int, start: int, count: int, resample: str, device: torch.device
) -> tuple[Tensor, int]:
    """Rows start .. start+count-1 of the (target, source) matrix that resizes a line of pixels.

    Float32 holds no whole number of 30 bits, so the matrix is coarse * 2^bits + fine.
    Returns both as (2, count, source) float32, and bits. Both are so small that their products with pixels have sums
    below 2^24, which float32 adds without rounding, up to 128 times smaller images.
    """
    whole = _pillow_coefficients(source, target, resample)[start : start + count]
    taps = int((whole != 0).sum(1).max())
    bits = min(11, 16 - (taps - 1).bit_length())
    coarse = (whole + (1 << (bits - 1))) >> bits
    parts = np.stack([coarse, whole - (coarse << bits)]).astype(np.float32)
    return torch.from_numpy(parts).to(device), bits


def _pillow_coefficients(source: int, target: int, resample: str) -> NDArray[np.int64]:
    """(target, source): Pillow's coefficients in units of 2^-22 (its Resample.c). The kernel is centred on the target
    pixel and stretched by source/target when shrinking."""
    scale = source / target
    stretch = max(scale, 1.0)
    reach = _REACH[resample] * stretch
    centre = (np.arange(target)[:, None] + 0.5) * scale
    pixel = np.arange(source)[None, :]
    distance = np.abs((pixel - centre + 0.5) * (1 / stretch))
    weights = _cubic(distance) if resample == "bicubic" else np.maximum(1 - distance, 0)
    within = (pixel >= np.floor(centre - reach + 0.5)) & (pixel < np.floor(centre + reach + 0.5))
    weights = np.where(within, weights, 0.0)
    # cumsum adds from left to right, as Pillow does
    weights /= np.cumsum(weights, 1)[:, -1:]
    whole: NDArray[np.int64] = np.trunc(weights * (1 << _PRECISION_BITS) + np.copysign(0.5, weights)).astype(
        np.int64
    )
    return whole


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5, Pillow's choice, at distances x >= 0."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


@lru_cache(maxsize=64)
def _rows_come_first(source: tuple[int, int], size: tuple[int, int], resample: str) -> bool:
    """Whether the installed Pillow makes the vertical pass first.

    Pillow 13 chooses by the sizes, and says so nowhere; others may choose otherwise. The roundings between the passes
    tell, so Pillow is asked by an image of noise that the order makes a difference to. Of a tiny one few do.
    """
    if source[0] == size[0] or source[1] == size[1]:
        return False  # one pass only
    rng, cpu = np.random.default_rng(0), torch.device("cpu")
    rows = _coefficients(source[0], size[0], 0, size[0], resample, cpu)
    columns = _coefficients(source[1], size[1], 0, size[1], resample, cpu)
    for _ in range(_MOST_ASKED):
        noise = torch.from_numpy(rng.integers(0, 256, (1, *source, 3), np.uint8))
        planes = noise.permute(0, 3, 1, 2).float()
        rows_first = _along_columns(_along_rows(planes, *rows), *columns)
        if not torch.equal(rows_first, _along_rows(_along_columns(planes, *columns), *rows)):
            return torch.equal(rows_first, by_pillow(noise, size, resample, (0, 0), size))
    return False
