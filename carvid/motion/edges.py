"""Soft masks drawn to the edges of the picture by a guided filter.

K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013, with a colour guide (section 3.6): within each window a
mask is an affine function of the pixel's colour. The functions are found at half the size, as in K. He, J. Sun, "Fast
Guided Filter", arXiv:1505.00996.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Half the side of a window, in px at half the size.
_RADIUS_PX = 4
# How much colours may vary in a window that is taken for flat: a variance, for colours in [0, 1].
_FLAT = np.float32(1e-4)

Image = NDArray[np.float32]


def refine(
    image: NDArray[np.uint8], masks: NDArray[np.float32], confidence: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The masks with their boundaries at the picture's edges, as far as their place is not sure.

    image: (H, W, 3) uint8 RGB. masks: (N, H, W) float32 in [0, 1]. confidence: (H, W) float32 in [0, 1]: a pixel that
    has 1 keeps its value. Returns masks of the same shape, dtype and range.
    """
    refined = masks.copy()
    x, y, width, height = cv2.boundingRect(masks.any(0).astype(np.uint8))
    if not width:
        return refined
    # A pixel depends on those up to two windows away, each twice as wide at the full size.
    reach = 4 * (_RADIUS_PX + 1)
    rows = slice(max(0, y - reach), y + height + reach)
    columns = slice(max(0, x - reach), x + width + reach)
    guide = _Guide(image[rows, columns])
    doubt = 1 - confidence[rows, columns]
    for mask, result in zip(masks, refined[:, rows, columns], strict=True):
        if mask.any():
            result += doubt * (guide.filter(result) - result)
    return refined


class _Guide:
    """What all masks of a picture share."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """image: (H, W, 3) uint8 RGB."""
        self._image = image.astype(np.float32) / np.float32(255)
        # Never empty, also where the picture is one pixel wide.
        self._half_size = (-(-image.shape[1] // 2), -(-image.shape[0] // 2))
        self._half = self._halved(self._image)
        self._mean = _mean(self._half)
        self._inverse = _inverse(_covariance(self._half, self._mean))

    def filter(self, mask: Image) -> Image:
        """The filtered mask, both (H, W) float32 in [0, 1]."""
        half = self._halved(mask)
        mean = _mean(half)
        shared = _mean(self._half * half[..., None]) - self._mean * mean[..., None]
        slope = _product(self._inverse, shared)
        offset = mean - (slope * self._mean).sum(2)
        affine = _mean(np.dstack([slope, offset]))
        affine = cv2.resize(affine, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        found: Image = np.einsum("ijk,ijk->ij", affine[..., :3], self._image) + affine[..., 3]
        return found.clip(0, 1)

    def _halved(self, values: Image) -> Image:
        found: Image = cv2.resize(values, self._half_size, interpolation=cv2.INTER_AREA)
        return found


def _mean(values: Image) -> Image:
    """The mean over each pixel's window; (H, W) or (H, W, C) float32."""
    side = 2 * _RADIUS_PX + 1
    found: Image = cv2.blur(values, (side, side))
    return found


# The places of a symmetric matrix that are kept: rr, rg, rb, gg, gb, bb.
_ONE, _OTHER = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]


def _covariance(guide: Image, mean: Image) -> Image:
    """Of the colours in each window, with `_FLAT` added to each variance: (H, W, 6) float32."""
    found = _mean(guide[..., _ONE] * guide[..., _OTHER]) - mean[..., _ONE] * mean[..., _OTHER]
    found[..., [0, 3, 5]] += _FLAT
    return found


def _inverse(matrix: Image) -> Image:
    """The inverse of each pixel's symmetric matrix, (H, W, 6) as `_covariance` has them."""
    rr, rg, rb, gg, gb, bb = np.moveaxis(matrix, 2, 0)
    first = np.dstack([gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg])
    rest = np.dstack([rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg])
    determinant = rr * first[..., 0] + rg * first[..., 1] + rb * first[..., 2]
    found: Image = np.dstack([first, rest]) / determinant[..., None]
    return found


def _product(matrix: Image, right: Image) -> Image:
    """Each pixel's symmetric matrix (H, W, 6) times its vector (H, W, 3)."""
    rr, rg, rb, gg, gb, bb = np.moveaxis(matrix, 2, 0)
    r, g, b = np.moveaxis(right, 2, 0)
    return np.dstack([rr * r + rg * g + rb * b, rg * r + gg * g + gb * b, rb * r + gb * g + bb * b])
