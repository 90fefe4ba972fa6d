"""The DAVIS 2017 evaluator's formulas, written out as plainly as can be, to check ours against.

One pair of masks at a time, boundaries widened pixel by pixel, and the assignment is the best of all there are.
Nothing of carvid is used, nor any code of the official package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Frames = Sequence[NDArray[np.uint8]]
VOID = 255
MOST_PROPOSALS = 20

Figures = list[tuple[float, ...]]
"""Per object: mean, recall and decay of J, then those of F."""


def evaluate(
    annotations: Frames, predictions: Frames, protocol: str, *, wrap: bool = False
) -> Figures | None:
    """The figures of a video, in the order the official evaluator lists its objects in; None where it gives up.

    wrap: count frames in 8 bits, as the official decay does.
    """
    objects = int(np.where(annotations[0] == VOID, 0, annotations[0]).max())
    if protocol == "identity":
        annotations, predictions = annotations[1:-1], predictions[1:-1]
    highest = int(max(prediction.max() for prediction in predictions))
    if highest > (objects if protocol == "identity" else MOST_PROPOSALS):
        return None
    labels = max(highest, objects)
    # (P, G, T): every label against every object, in every frame.
    j, f = (np.zeros((labels, objects, len(annotations))) for _ in "JF")
    for t, (annotation, prediction) in enumerate(zip(annotations, predictions, strict=True)):
        void = (annotation == VOID) & (protocol == "matched")
        truths = [(annotation == k + 1) & ~void for k in range(objects)]
        found = [(prediction == k + 1) & ~void for k in range(labels)]
        truth_edges, found_edges = [Edge(mask) for mask in truths], [Edge(mask) for mask in found]
        for p, g in itertools.product(range(labels), range(objects)):
            j[p, g, t] = jaccard(truths[g], found[p])
            f[p, g, t] = boundary_f(truth_edges[g], found_edges[p])
    if protocol == "identity":
        pairs = [(k, k) for k in range(objects)]
    else:
        quality = (j.mean(axis=2) + f.mean(axis=2)) / 2
        chosen = max(
            itertools.permutations(range(labels), objects),
            key=lambda chosen: sum(quality[p, g] for g, p in enumerate(chosen)),
        )
        pairs = sorted((p, g) for g, p in enumerate(chosen))
    return [(*statistics(j[pair], wrap), *statistics(f[pair], wrap)) for pair in pairs]


def jaccard(truth: Mask, found: Mask) -> float:
    either = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / either if either else 1.0


class Edge:
    """The boundary of a mask: pixels that differ from their right, lower or lower right neighbour; `near`: those
    at most ceil(0.008 * diagonal) away from one of them."""

    def __init__(self, mask: Mask) -> None:
        height, width = mask.shape
        wider = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
        right, below, across = wider[:-1, 1:], wider[1:, :-1], wider[1:, 1:]
        self.pixels: Mask = (mask != right) | (mask != below) | (mask != across)
        radius = math.ceil(0.008 * math.sqrt(height**2 + width**2))
        padded = np.pad(self.pixels, radius)
        near, places = np.zeros(padded.size, bool), np.flatnonzero(padded)
        for down, right in itertools.product(range(-radius, radius + 1), repeat=2):
            if down**2 + right**2 <= radius**2:
                near[places + down * padded.shape[1] + right] = True
        self.near: Mask = near.reshape(padded.shape)[radius:-radius, radius:-radius]


def boundary_f(truth: Edge, found: Edge) -> float:
    true_px, found_px = np.count_nonzero(truth.pixels), np.count_nonzero(found.pixels)
    if not true_px or not found_px:
        return 1.0 if true_px == found_px else 0.0
    precision = np.count_nonzero(found.pixels & truth.near) / found_px
    recall = np.count_nonzero(truth.pixels & found.near) / true_px
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def statistics(values: NDArray[np.float64], wrap: bool) -> tuple[float, float, float]:
    """Mean; share above 0.5; mean of the first quarter minus that of the last, both with their ends."""
    last = len(values) - 1
    # The quarters end at 0, T/4, T/2, 3T/4 and T for T = last, rounded half up.
    ends = [(i * last + 2) // 4 % (256 if wrap else len(values)) for i in range(5)]
    decay = values[ends[0] : ends[1] + 1].mean() - values[ends[3] : ends[4] + 1].mean()
    return float(values.mean()), float((values > 0.5).mean()), float(decay)
