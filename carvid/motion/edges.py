"""Soft masks drawn to the edges of the picture by a guided filter.

K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013, with a colour guide (section 3.6): within each window a
mask is an affine function of the pixel's colour. It costs a few percent of the dense CRF, and moves a boundary by
a few px at most, which is what flow leaves to do.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Half the side of a window, in px: where the flow is sure of itself, and where it is not and more has to be found.
_SURE_PX, _UNSURE_PX = 2, 8
# How much colours may vary in a window that is taken for flat: a variance, for colours in [0, 1].
_FLAT = 1e-4


def refine(
    image: NDArray[np.uint8], masks: NDArray[np.float32], confidence: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The masks with their boundaries at the picture's edges.

    image: (H, W, 3) uint8 RGB. masks: (N, H, W) float32 in [0, 1]. confidence: (H, W) float32 in [0, 1], how sure the
    masks' place is: the less, the wider the window. Returns masks of the same shape, dtype and range.
    """
    refined = np.zeros_like(masks)
    for i, mask in enumerate(masks):
        x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
        if not width:
            continue
        # A pixel depends on those up to two windows away.
        reach = 2 * _UNSURE_PX + 1
        rows = slice(max(0, y - reach), y + height + reach)
        columns = slice(max(0, x - reach), x + width + reach)
        guide, part = image[rows, columns].astype(np.float32) / np.float32(255), mask[rows, columns]
        near, wide = (_filter(guide, part, radius) for radius in (_SURE_PX, _UNSURE_PX))
        refined[i, rows, columns] = wide + confidence[rows, columns] * (near - wide)
    return refined


def _filter(guide: NDArray[np.float32], mask: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    """The guided filter of one mask (H, W), in [0, 1]. guide: (H, W, 3), RGB in [0, 1]."""
    mean, mean_mask = _mean(guide, radius_px), _mean(mask, radius_px)
    shared = _mean(guide * mask[..., None], radius_px) - mean * mean_mask[..., None]
    slope = _solved(_covariance(guide, mean, radius_px), shared)
    offset = mean_mask - (slope * mean).sum(2)
    found: NDArray[np.float32] = (_mean(slope, radius_px) * guide).sum(2) + _mean(offset, radius_px)
    return found.clip(0, 1)


def _mean(values: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    """The mean over each pixel's window; (H, W) or (H, W, C) float32."""
    side = 2 * radius_px + 1
    found: NDArray[np.float32] = cv2.blur(values, (side, side))
    return found


def _covariance(guide: NDArray[np.float32], mean: NDArray[np.float32], radius_px: int) -> NDArray[np.float32]:
    """Of the colours in each window, with `_FLAT` added to each variance: (H, W, 6) float32, rr, rg, rb, gg, gb, bb."""
    one, other = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]
    found = _mean(guide[..., one] * guide[..., other], radius_px) - mean[..., one] * mean[..., other]
    found[..., [0, 3, 5]] += np.float32(_FLAT)
    return found


def _solved(matrix: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """x of `matrix` x = `right` at each pixel, by Cramer's rule; symmetric matrices as `_covariance` has them."""
    rr, rg, rb, gg, gb, bb = np.moveaxis(matrix, 2, 0)
    r, g, b = np.moveaxis(right, 2, 0)
    a11, a12, a13 = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    a22, a23, a33 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    share = 1 / (rr * a11 + rg * a12 + rb * a13)
    return np.stack(
        [
            (a11 * r + a12 * g + a13 * b) * share,
            (a12 * r + a22 * g + a23 * b) * share,
            (a13 * r + a23 * g + a33 * b) * share,
        ],
        axis=2,
    )
