"""The boxes of connected components, found on the maps' device: no copy to the host, no loop over maps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def component_boxes(maps: Tensor) -> Tensor:
    """The union of the bounding boxes of each map's 8-connected components: (K, R, C) bool -> the same shape."""
    count, rows, columns = maps.shape
    root = components(maps)
    place = torch.arange(rows * columns, device=maps.device)
    inside = root < rows * columns
    at = root.where(inside, 0)
    corners = []
    for position, size in ((place // columns, rows), (place % columns, columns)):
        first, last = position.where(inside, size), position.where(inside, -1)
        corners.append(torch.full_like(root, size).scatter_reduce(1, at, first, "amin"))
        corners.append(torch.full_like(root, -1).scatter_reduce(1, at, last, "amax"))
    top, bottom, left, right = corners
    # Each box adds 1 at its top left corner and subtracts it past its sides, so running sums fill it.
    real = (bottom >= 0).to(torch.int32)
    edges = torch.zeros(count, (rows + 1) * (columns + 1), dtype=torch.int32, device=maps.device)
    for y, x, sign in (
        (top, left, 1),
        (top, right + 1, -1),
        (bottom + 1, left, -1),
        (bottom + 1, right + 1, 1),
    ):
        corner = (y * (columns + 1) + x).where(real > 0, 0)
        edges.scatter_add_(1, corner, sign * real)
    depth = edges.view(count, rows + 1, columns + 1).cumsum(1).cumsum(2)
    return depth[:, :rows, :columns] > 0


def components(maps: Tensor) -> Tensor:
    """Each pixel's 8-connected component in its map: (K, R, C) bool -> (K, R * C) int64.

    A component's number is that of one of its pixels (row * C + column). Pixels outside the map get R * C.
    """
    count, rows, columns = maps.shape
    pixels = rows * columns
    own = torch.arange(pixels, device=maps.device).expand(count, -1)
    root = own.where(maps.flatten(1), pixels)
    # In a component still in parts, each round joins every part to the lowest of its neighbours, which at least halves
    # the number of parts. So this many rounds are enough, and the host need not ask the device whether to stop.
    rounds = pixels.bit_length()
    for _ in range(rounds):
        around = _lowest_other(root.view(count, rows, columns)).flatten(1)
        inside = root < pixels
        lowest = torch.full_like(root, pixels).scatter_reduce(
            1, root.where(inside, 0), around.where(inside, pixels), "amin"
        )
        parent = lowest.where(lowest < pixels, own)
        # Where two parts chose each other, the lower stays a root. Longer cycles cannot occur.
        parent = own.where((parent.gather(1, parent) == own) & (own < parent), parent)
        for _ in range(rounds):
            parent = parent.gather(1, parent)
        root = parent.gather(1, root.where(inside, 0)).where(inside, pixels)
    return root


def _lowest_other(root: Tensor) -> Tensor:
    """The lowest root among each pixel's 8 neighbours, other than its own: (K, R, C) int64; R * C if none."""
    rows, columns = root.shape[1:]
    none = rows * columns
    framed = F.pad(root, (1, 1, 1, 1), value=none)
    lowest = torch.full_like(root, none)
    for y in range(3):
        for x in range(3):
            beside = framed[:, y : y + rows, x : x + columns]
            lowest = torch.minimum(lowest, beside.where(beside != root, none))
    return lowest
