"""Gaussian filtering of values at scattered points, by splatting, blurring and slicing on a lattice."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from carvid.refine.simplex import Simplices, enclosing_simplices

# Beyond this, float32 cannot resolve a point's place within its cell.
_FEATURE_LIMIT = 2.0**20


class PermutohedralLattice:
    """The permutohedral lattice over n fixed points; filters any values given at those points.

    The same lattice as pydensecrf's (Adams et al., Eurographics 2010): only the vertices of simplices that
    enclose some point exist, and blurring visits these alone, axis 0 first.

    Vertices are numbered by remainder, then by packed key. After the last vertex comes one more row, always zero,
    which stands for every missing neighbour.

    features: (n, d) float32, n and d at least 1, finite and below 2^20, in units of the kernel's standard deviation.
        The lattice is on their device. Raises ValueError for others.
    """

    def __init__(self, features: Tensor) -> None:
        if features.ndim != 2 or features.dtype != torch.float32 or 0 in features.shape:
            raise ValueError(
                f"features are {tuple(features.shape)} {features.dtype}; expected (n, d) float32, "
                "at least one point in at least one dimension"
            )
        largest = features.abs().amax().item()
        if not largest < _FEATURE_LIMIT:
            raise ValueError(f"largest feature is {largest}; expected finite, below {_FEATURE_LIMIT}")
        self.point_count, self.dimensions = features.shape
        self._build(enclosing_simplices(features.detach()))

    def filter(self, values: Tensor) -> Tensor:
        """At each point i the sum over all points j of values_j exp(-|f_i - f_j|^2 / 2), approximately.

        values: (n, c) float32 on the lattice's device. Returns (n, c) float32. Linear; not normalised. Raises
        ValueError for another shape or dtype.
        """
        if values.ndim != 2 or len(values) != self.point_count or values.dtype != torch.float32:
            raise ValueError(
                f"values are {tuple(values.shape)} {values.dtype}; expected ({self.point_count}, c) float32"
            )
        if values.shape[1] == 0:
            return torch.empty_like(values)
        with torch.no_grad():
            vertices = _gather_sum(values, self._splat_index, self._splat_start, self._splat_weight)
            for neighbours in self._blur_index:
                vertices = _gather_sum(vertices, neighbours, self._blur_start, self._blur_weight)
            return _gather_sum(vertices, self._slice_index, self._slice_start, self._slice_weight)

    def _build(self, simplices: Simplices) -> None:
        n, d = self.point_count, self.dimensions
        device = simplices.cell.device
        strides, keys = _pack_keys(simplices)

        splat_index, splat_start, vertex_keys = [], [], []
        slice_index = torch.empty(n, d + 1, dtype=torch.int32, device=device)
        vertex_count = 0
        for remainder, point_keys in enumerate(keys):
            ordered, order = torch.sort(point_keys, stable=True)
            opens_run = torch.ones(n, dtype=torch.bool, device=device)
            torch.ne(ordered[1:], ordered[:-1], out=opens_run[1:])
            run_start = opens_run.nonzero()[:, 0]
            vertex = opens_run.cumsum(0, dtype=torch.int32).add_(vertex_count - 1)
            slice_index[:, remainder].scatter_(0, order, vertex)
            splat_index.append(order)
            splat_start.append(run_start + remainder * n)
            vertex_keys.append(ordered[run_start])
            vertex_count += len(run_start)

        # Splat: for each vertex a run of points, for the row after the last vertex none.
        end = torch.full((2,), n * (d + 1), dtype=torch.int64, device=device)
        self._splat_index = torch.cat(splat_index).to(torch.int32)
        self._splat_start = torch.cat([*splat_start, end]).to(torch.int32)
        self._splat_weight = torch.cat(
            [weight[order] for weight, order in zip(simplices.barycentric, splat_index, strict=True)]
        )
        # Slice: d + 1 vertices for each point. One step along every axis leads back to the same vertex, so
        # blurring an impulse leaves 1 + 2^-d of it in place; dividing by that makes it 1.
        self._slice_index = slice_index.view(-1)
        self._slice_start = torch.arange(0, n * (d + 1) + 1, d + 1, dtype=torch.int32, device=device)
        self._slice_weight = simplices.barycentric.T.reshape(-1) / (1 + 2.0**-d)
        # Blur: weights (1/2, 1, 1/2) along each of the d + 1 axes.
        rows = vertex_count + 1
        self._blur_index = [_neighbours(vertex_keys, strides, axis).view(-1) for axis in range(d + 1)]
        self._blur_start = torch.arange(0, 3 * rows + 1, 3, dtype=torch.int32, device=device)
        self._blur_weight = torch.tensor([1.0, 0.5, 0.5], device=device).repeat(rows)


def _gather_sum(source: Tensor, index: Tensor, start: Tensor, weight: Tensor) -> Tensor:
    """Row i of the result is the sum of weight[k] * source[index[k]] over start[i] <= k < start[i + 1].

    This is a product with a sparse matrix in CSR form. `embedding_bag` computes it on every device, and unlike
    `torch.sparse` its time on a CPU does not jump with the number of channels.
    """
    return embedding_bag(
        index, source.contiguous(), start, mode="sum", per_sample_weights=weight, include_last_offset=True
    )


def _pack_keys(simplices: Simplices) -> tuple[list[int], list[Tensor]]:
    """One integer key per vertex, distinct among vertices of the same remainder.

    A vertex of remainder r has coordinates (d + 1) * q + r with integer q; its key takes q's first d
    coordinates (the last follows from them) as the digits of a mixed-radix number. Returns the strides of the
    digits (d + 1 of them, the last 0) and, for each remainder, the (n,) keys of the points' vertices. Raises
    ValueError where the keys do not fit in 64 bits.
    """
    lowest, highest = (bound.tolist() for bound in torch.aminmax(simplices.cell, dim=1))
    # A vertex may lie one cell below its point's, and a neighbour one above: two more values than seen here.
    sizes = [int(high - low) + 3 for low, high in zip(lowest[:-1], highest[:-1], strict=True)]
    if prod(sizes) >= 2**63:
        raise ValueError(f"features span {sizes} lattice cells: more than a 64-bit key can tell apart")
    key_dtype = torch.int32 if prod(sizes) < 2**31 else torch.int64
    strides = [0, *accumulate(sizes[:0:-1], operator.mul, initial=1)][::-1]

    cell, position, _ = simplices
    digits = (cell[:-1] - cell.new_tensor(lowest[:-1])[:, None] + 1).to(key_dtype)
    stride = torch.tensor(strides, dtype=key_dtype, device=cell.device)[:, None]
    key = (digits * stride[:-1]).sum(0, dtype=key_dtype)
    # Going from remainder r to r + 1 lowers q by one in the coordinate at position r.
    steps = torch.empty(cell.shape, dtype=key_dtype, device=cell.device)
    steps.scatter_(0, position, stride.expand_as(steps))
    keys = [key]
    for step in steps[:-1]:
        keys.append(keys[-1] - step)
    return strides, keys


def _neighbours(vertex_keys: Sequence[Tensor], strides: Sequence[int], axis: int) -> Tensor:
    """(m + 1, 3) int32: each of the m vertices and its two neighbours along `axis`; m stands for a missing one.

    vertex_keys: the sorted keys of each remainder. The neighbour ahead is greater by d in coordinate `axis` and smaller
    by 1 in the others, so its remainder is r - 1. Its q is greater by one at `axis`, and smaller by one everywhere
    when r wraps from 0 to d.
    """
    counts = [len(keys) for keys in vertex_keys]
    first = [0, *accumulate(counts)]
    m = first[-1]
    device = vertex_keys[0].device
    ids = torch.arange(m + 1, dtype=torch.int32, device=device)
    table = torch.stack([ids, torch.full_like(ids, m), torch.full_like(ids, m)], dim=1)
    for remainder, keys in enumerate(vertex_keys):
        ahead = remainder - 1 if remainder else len(vertex_keys) - 1
        wanted = keys + (strides[axis] - (0 if remainder else sum(strides)))
        place = torch.searchsorted(vertex_keys[ahead], wanted).clamp_(max=counts[ahead] - 1)
        here = (vertex_keys[ahead][place] == wanted).nonzero()[:, 0]
        there = place[here] + first[ahead]
        here += first[remainder]
        table[here, 1] = there.to(torch.int32)
        table[there, 2] = here.to(torch.int32)
    return table
