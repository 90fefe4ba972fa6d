"""A video with tracks, small enough to check by eye: what an engine with instances gives, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from carvid.evidence import FrameOrigin
from carvid.frame import Frame
from carvid.result import FrameResult, ObjectResult, QueryVerdict

QUERIES = ("a car", "a unicorn", "a dog")
# Per frame, by column, the ids of the tracks. 1 and 3 are cars, 2 is a dog; 1 is gone in frame 1, 3 comes in frame 2.
ROWS = ("11..22", "....22", "11.33.", "11....")
QUERY_OF = {1: "a car", 2: "a dog", 3: "a car"}
SCORES = {1: 0.75, 2: 0.5, 3: 0.625}
ABSENT_SCORE = 0.125
ORIGINS = (
    FrameOrigin(True, 1.0, (0,)),
    FrameOrigin(False, 0.25, (0, 2)),
    FrameOrigin(True, 1.0, (2,)),
    FrameOrigin(False, 1 / 3, (2,)),
)


def masks_of(row: str) -> dict[int, NDArray[np.bool_]]:
    """The masks by id, (2, 6) bool: a row of `ROWS` twice over."""
    return {
        number: np.array([[c == str(number) for c in row]] * 2) for number in QUERY_OF if str(number) in row
    }


def tracked(
    index: int, masks: Mapping[int, NDArray[np.bool_]], *, origin: FrameOrigin | None = None
) -> FrameResult:
    """The result for tracks of these masks; where they overlap, the label map has the one with the lowest id."""
    label_map = np.zeros(next(iter(masks.values())).shape, np.uint8) if masks else np.zeros((2, 6), np.uint8)
    for number in sorted(masks, reverse=True):
        label_map[masks[number]] = number
    objects = tuple(
        ObjectResult(number, QUERY_OF[number], masks[number], SCORES[number], True)
        for number in sorted(masks)
    )
    found = {one.query: one.score for one in reversed(objects)}
    verdicts = tuple(QueryVerdict(query, found.get(query, ABSENT_SCORE), query in found) for query in QUERIES)
    return FrameResult(
        index, index / 25, f"{index:05d}", label_map, objects, verdicts=verdicts, origin=origin
    )


def frames() -> list[Frame]:
    return [Frame(i, i / 25, np.full((2, 6, 3), 90, np.uint8), f"{i:05d}") for i in range(len(ROWS))]


def results() -> list[FrameResult]:
    return [tracked(i, masks_of(row), origin=ORIGINS[i]) for i, row in enumerate(ROWS)]
