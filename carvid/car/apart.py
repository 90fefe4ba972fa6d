"""A proposal that covers several things, taken apart: which pieces it has, and what is left where some are given up."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

# What is smaller than this share of the picture is no thing by itself, but belongs to what it is next to.
_LEAST = 6e-4
# So many pieces of a proposal are looked at, the largest ones.
_MOST = 8


def pieces(mask: Bools) -> Bools:
    """The 8-connected components of a mask (H, W) bool, without specks: (K, H, W) bool, largest first.

    None (K = 0) where there are fewer than two, so that the mask is one thing already.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = [i for i in np.argsort(-areas, kind="stable") if areas[i] >= _LEAST * mask.size][:_MOST]
    if len(large) < 2:
        return np.zeros((0, *mask.shape), np.bool_)
    return np.stack([labels == i + 1 for i in large])


def nearest_kept(found: Bools, kept: Sequence[bool]) -> Bools:
    """(H, W) bool: the pixels at least as near to a kept piece as to any other.

    found: (K, H, W) bool; some are kept.
    """
    if all(kept):
        return np.ones(found.shape[1:], np.bool_)
    stays = np.asarray(kept)
    near, far = (
        cv2.distanceTransform((~found[which].any(0)).astype(np.uint8), cv2.DIST_L2, 5)
        for which in (stays, ~stays)
    )
    nearer: Bools = near <= far
    return nearer
