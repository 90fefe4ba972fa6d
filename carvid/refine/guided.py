"""Soft masks drawn to the edges of a picture by a guided filter.

K. He, J. Sun, X. Tang, "Guided Image Filtering", TPAMI 2013, with a colour guide (section 3.6): within each window a
mask is an affine function of the pixel's colour. The functions are found on a smaller picture and enlarged, as in
K. He, J. Sun, "Fast Guided Filter", arXiv:1505.00996.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class Guide:
    """One picture and how its colours vary, which all its masks share. Computes on the picture's device."""

    def __init__(self, image: Tensor, size: tuple[int, int], *, radius_px: int, flat: float) -> None:
        """image: (H, W, 3) uint8 RGB. size: (h, w) of the masks, at most (H, W).

        radius_px: half the side of a window, in px of the masks. flat: how much colours may vary in a window that is
        taken for flat: a variance, for colours in [0, 1].
        """
        self._image = image.permute(2, 0, 1).float() / 255
        self._radius_px, self._flat = radius_px, flat
        self._small = shrunk(self._image, size)
        self._count = self._window_sum(torch.ones_like(self._small[:1]))
        self._mean = self._window_mean(self._small)
        self._inverse = _inverse(self._covariance())

    @property
    def small_image(self) -> Tensor:
        """(h, w, 3) float32: the picture at the masks' size, in levels of 0..255."""
        return (self._small * 255).permute(1, 2, 0)

    def enlarge(self, masks: Tensor) -> Tensor:
        """Masks at the picture's size, with their boundaries at its edges.

        masks: (N, h, w) float32 in [0, 1]. Returns (N, H, W) float32 in [0, 1]; where masks sum to 1, so do
        the results, or to more where they were cut to this range.
        """
        # One by one: a mask's functions take four times its memory at the full size.
        found = [self._enlarged(mask[None]) for mask in masks]
        return torch.stack(found) if found else masks.new_zeros(0, *self._image.shape[1:])

    def _enlarged(self, mask: Tensor) -> Tensor:
        mean = self._window_mean(mask)
        shared = self._window_mean(self._small * mask) - self._mean * mean
        slope = _product(self._inverse, shared)
        offset = mean - (slope * self._mean).sum(0, keepdim=True)
        functions = self._window_mean(torch.cat([slope, offset]))
        size = self._image.shape[1:]
        functions = F.interpolate(functions[None], size, mode="bilinear", align_corners=False)[0]
        found = functions[3]
        for colour, one in zip(self._image, functions, strict=False):
            found.addcmul_(colour, one)
        return found.clamp_(0, 1)

    def _covariance(self) -> Tensor:
        """Of the colours in each window, with `flat` added to each variance: (6, h, w)."""
        small, mean = self._small, self._mean
        found = self._window_mean(small[_ONE] * small[_OTHER]) - mean[_ONE] * mean[_OTHER]
        found[[0, 3, 5]] += self._flat
        return found

    def _window_mean(self, values: Tensor) -> Tensor:
        """The mean over each pixel's window, as far as it lies in the picture; (C, h, w)."""
        return self._window_sum(values) / self._count

    def _window_sum(self, values: Tensor) -> Tensor:
        r = self._radius_px
        padded = F.pad(values, (r, r, r, r))
        return _sums(_sums(padded, 1, 2 * r + 1), 2, 2 * r + 1)


def shrunk(planes: Tensor, size: tuple[int, int]) -> Tensor:
    """Planes (C, H, W) of a floating type at a smaller size (h, w), each pixel a weighted mean of those it covers."""
    # Planes as a batch: there may be none.
    return F.interpolate(planes[:, None], size, mode="bilinear", align_corners=False, antialias=True)[:, 0]


def _sums(values: Tensor, dim: int, side: int) -> Tensor:
    """The sum over every `side` neighbours along a dimension, which gets shorter by side - 1; `side` is odd.

    It adds up sums of 1, 2, 4, ... neighbours, which is quicker than pooling and, unlike differences of running sums,
    as exact.
    """
    length = values.shape[dim] - side + 1
    total, covered = values.narrow(dim, 0, length), 1
    doubled, width = values, 1
    while 2 * width <= side:
        n = doubled.shape[dim] - width
        doubled, width = doubled.narrow(dim, 0, n) + doubled.narrow(dim, width, n), 2 * width
        if side & width:
            total = total + doubled.narrow(dim, covered, length)
            covered += width
    return total


# The places of a symmetric matrix that are kept: rr, rg, rb, gg, gb, bb.
_ONE, _OTHER = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]


def _inverse(matrix: Tensor) -> Tensor:
    """The inverse of each pixel's symmetric matrix, (6, h, w)."""
    rr, rg, rb, gg, gb, bb = matrix
    first = torch.stack([gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg])
    rest = torch.stack([rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg])
    determinant = rr * first[0] + rg * first[1] + rb * first[2]
    return torch.cat([first, rest]).div_(determinant)


def _product(matrix: Tensor, right: Tensor) -> Tensor:
    """Each pixel's symmetric matrix (6, h, w) times its vector (3, h, w)."""
    rr, rg, rb, gg, gb, bb = matrix
    r, g, b = right
    return torch.stack([rr * r + rg * g + rb * b, rg * r + gg * g + gb * b, rb * r + gb * g + bb * b])
