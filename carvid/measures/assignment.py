"""The cheapest assignment of rows to columns (the linear sum assignment problem), exactly.

Shortest augmenting paths with dual variables (Jonker and Volgenant, 1987; Crouse, 2016). With a few dozen
rows and columns at most, plain Python is fast enough.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pairing of rows and columns with the least total cost.

    cost: (R, C) float64, finite. Returns (rows, columns), (min(R, C),) each, ordered by row; no row or column
    occurs twice.
    """
    if cost.shape[0] > cost.shape[1]:
        columns, rows = assign(cost.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    table: list[list[float]] = cost.tolist()
    row_count, column_count = cost.shape
    row_dual, column_dual = [0.0] * row_count, [0.0] * column_count
    column_of, row_of = [-1] * row_count, [-1] * column_count
    for start in range(row_count):
        _augment(table, start, row_dual, column_dual, column_of, row_of)
    return np.arange(row_count), np.array(column_of, dtype=np.intp)


def _augment(
    table: list[list[float]],
    start: int,
    row_dual: list[float],
    column_dual: list[float],
    column_of: list[int],
    row_of: list[int],
) -> None:
    """Assigns row `start` along the shortest path of reduced costs that ends in a free column."""
    column_count = len(row_of)
    distance = [math.inf] * column_count
    previous_row = [-1] * column_count
    rows_done, columns_done = [start], []
    # Last to first, and the first of several equally near columns is taken: SciPy breaks ties the same way.
    waiting = list(range(column_count - 1, -1, -1))
    row, length = start, 0.0
    while True:
        nearest, nearest_distance = -1, math.inf
        for place, column in enumerate(waiting):
            reduced = length + table[row][column] - row_dual[row] - column_dual[column]
            if reduced < distance[column]:
                distance[column], previous_row[column] = reduced, row
            # Among equals a free column is better: the path ends there.
            free = row_of[column] == -1
            if distance[column] < nearest_distance or (distance[column] == nearest_distance and free):
                nearest, nearest_distance = place, distance[column]
        length = nearest_distance
        end = waiting[nearest]
        waiting[nearest] = waiting[-1]
        waiting.pop()
        columns_done.append(end)
        if row_of[end] == -1:
            break
        row = row_of[end]
        rows_done.append(row)

    row_dual[start] += length
    for row in rows_done[1:]:
        row_dual[row] += length - distance[column_of[row]]
    for column in columns_done:
        column_dual[column] -= length - distance[column]
    while True:
        row = previous_row[end]
        row_of[end] = row
        column_of[row], end = end, column_of[row]
        if row == start:
            return
