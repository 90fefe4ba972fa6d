"""Where points lie in the permutohedral lattice: the simplex around each, and its place in that simplex.

A. Adams, J. Baek, M. A. Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
Eurographics 2010; page numbers below are the paper's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Simplices(NamedTuple):
    """For each of n points in d dimensions, the lattice simplex that encloses it.

    The simplex has one vertex of each remainder r = 0..d: the vertex's d + 1 integer coordinates sum to zero, and
    each leaves remainder r when divided by d + 1.

    cell: (d+1, n) float32, whole numbers; the remainder-0 vertex is (d + 1) * cell.
    position: (d+1, n) int64, a permutation of 0..d in each column. The remainder-r vertex is
        (d + 1) * cell + r, less d + 1 in each coordinate whose position is below r.
    barycentric: (d+1, n) float32; row r is the weight of the remainder-r vertex; columns sum to 1.
    """

    cell: Tensor
    position: Tensor
    barycentric: Tensor


def enclosing_simplices(features: Tensor) -> Simplices:
    """The simplex around each row of `features`, (n, d) float32 in units of the kernel's standard deviation.

    The float32 operations are pydensecrf's, in the same order, so that a point on the border of two simplices goes
    to the same one. This matters because the vertices that exist decide how values spread.
    """
    d = features.shape[1]
    down = _float32(1 / (d + 1))
    elevated = _elevate(features)

    # The nearest remainder-0 point, by rounding each coordinate, halves to the even multiple (p. 5).
    cell = (elevated * down).round_()
    residue = elevated - cell * (d + 1)
    # rank[i]: how many coordinates have a larger residue; of two equal ones the first counts as larger.
    rank = torch.arange(d + 1, dtype=torch.int8, device=features.device)[:, None].repeat(1, len(features))
    for i in range(d):
        for j in range(i + 1, d + 1):
            smaller = (residue[i] < residue[j]).view(torch.int8)
            rank[i] += smaller
            rank[j] -= smaller

    # Rounding each coordinate may leave the plane where coordinates sum to zero. Moving the coordinates that were
    # rounded furthest by one cell each returns to it, and rotates the ranks by the number moved (p. 5).
    rank += cell.sum(0).to(torch.int8)
    wrap = (rank < 0).view(torch.int8) - (rank > d).view(torch.int8)
    rank += wrap * (d + 1)
    cell += wrap

    position = (d - rank).long()
    offset = (elevated - cell * (d + 1)).mul_(down)
    ascending = torch.empty_like(offset).scatter_(0, position, offset)
    barycentric = torch.empty_like(offset)
    torch.sub(ascending[1:], ascending[:-1], out=barycentric[1:])
    torch.add(ascending[0], 1 - ascending[-1], out=barycentric[0])
    return Simplices(cell, position, barycentric)


def _elevate(features: Tensor) -> Tensor:
    """(n, d) -> (d+1, n) float32: the points on the plane where coordinates sum to zero, scaled so that splat,
    blur and slice together amount to a Gaussian of standard deviation 1 (pp. 5-6)."""
    n, d = features.shape
    inverse_deviation = _float32(math.sqrt(2 / 3) * (d + 1))
    elevated = features.new_empty(d + 1, n)
    total = features.new_zeros(n)
    for j in range(d, 0, -1):
        scaled = features[:, j - 1] * _float32(inverse_deviation / math.sqrt((j + 1) * j))
        torch.sub(total, scaled * j, out=elevated[j])
        total += scaled
    elevated[0] = total
    return elevated


def _float32(value: float) -> float:
    """`value` rounded to float32."""
    return torch.tensor(value, dtype=torch.float32).item()
