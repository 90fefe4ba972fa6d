from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carvid.evidence import SamRecord
from carvid.media.packed import PackedMasks
from carvid.sam.matching import ensemble, iom, label_map, match


def masks(*rows: str) -> torch.Tensor:
    """One mask of one row of pixels per string."""
    return torch.tensor([[[character == "#" for character in row]] for row in rows])


def packed(*rows: str) -> PackedMasks:
    return PackedMasks.pack(masks(*rows))


EMPTY = "...................."
CRF = "##########.........."


def test_iom_divides_by_the_smaller_mask() -> None:
    found = iom(
        packed(CRF, EMPTY),
        packed(
            "####................",  # inside the CRF mask
            "##############......",  # contains it
            ".......######.......",  # three of its six pixels inside
            "...............#####",  # beside it
            EMPTY,
        ),
    )
    assert found.tolist() == [[1.0, 1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]


def test_iom_at_the_threshold_is_no_match() -> None:
    # Seven of ten pixels inside, then eight.
    ioms = iom(packed(CRF), packed("...##########.......", "..##########........"))
    assert ioms.tolist() == [[0.7, 0.8]]
    assert match(ioms, 0.7).tolist() == [[False, True]]
    assert match(ioms, 0.5).tolist() == [[True, True]]


@pytest.mark.parametrize(
    ("segments", "expected", "record"),
    [
        # inside, too small to stand for the mask
        (["####................"], CRF, SamRecord(1, 0.4, False)),
        # inside, nearly all of it
        (["#########..........."], "#########...........", SamRecord(1, 0.9, True)),
        # it contains the mask and is little larger
        (["############........"], "############........", SamRecord(1, 10 / 12, True)),
        # it contains the mask and far more
        (["####################"], CRF, SamRecord(1, 0.5, False)),
        # several parts that together make the mask
        (["####................", "....#####...........", "..............######"],
         "#########...........", SamRecord(2, 0.9, True)),
        # a part that leans out: 3 of its 4 pixels inside
        (["#######.............", ".......####........."],
         "###########.........", SamRecord(2, 10 / 11, True)),
        # union's IoU exactly .7: not above
        (["#######............."], CRF, SamRecord(1, 0.7, False)),
        # IoM exactly .7 (7 of 10): no match at all
        (["...##########......."], CRF, SamRecord(0, None, False)),
        # an empty segment, and none
        ([EMPTY], CRF, SamRecord(0, None, False)),
        ([], CRF, SamRecord(0, None, False)),
    ],
)  # fmt: skip
def test_ensemble(segments: list[str], expected: str, record: SamRecord) -> None:
    found = packed(*segments) if segments else packed(EMPTY).select([])
    refined, records = ensemble(masks(CRF), found, 0.7, 0.7)
    assert torch.equal(refined, masks(expected))
    assert records == (record,)


def test_queries_are_refined_apart_and_an_empty_mask_stays_empty() -> None:
    before = masks(CRF, EMPTY, "..........##########")
    segments = packed("#########...........", "..........#########.")
    refined, records = ensemble(before, segments, 0.7, 0.7)
    assert torch.equal(refined, masks("#########...........", EMPTY, "..........#########."))
    assert records == (SamRecord(1, 0.9, True), SamRecord(), SamRecord(1, 0.9, True))
    assert torch.equal(before, masks(CRF, EMPTY, "..........##########"))


def test_no_query_is_no_error() -> None:
    refined, records = ensemble(masks(CRF)[:0], packed(CRF), 0.7, 0.7)
    assert refined.shape == (0, 1, 20)
    assert records == ()


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(0, 8))
def test_ensemble_is_that_of_sets_of_pixels(seed: int, queries: int, segments: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 6, (queries + segments, 2))
    side = rng.integers(0, 9, (queries + segments, 2))
    planes = np.zeros((queries + segments, 12, 12), bool)
    for plane, (y, x), (h, w) in zip(planes, corner, side, strict=True):
        plane[y : y + h, x : x + w] = True
    pixels = [set(np.flatnonzero(plane)) for plane in planes]
    refined, records = ensemble(
        torch.from_numpy(planes[:queries]), PackedMasks.pack(torch.from_numpy(planes[queries:])), 0.6, 0.5
    )
    for i in range(queries):
        mask = pixels[i]
        near = [
            other
            for other in pixels[queries:]
            if mask and other and len(mask & other) / min(len(mask), len(other)) > 0.6
        ]
        union = set().union(*near)
        iou = len(union & mask) / len(union | mask) if near else None
        replaced = iou is not None and iou > 0.5
        assert records[i] == SamRecord(len(near), iou, replaced)
        assert set(np.flatnonzero(refined[i].numpy())) == (union if replaced else mask)


def test_label_map_gives_an_overlap_to_the_stronger_response() -> None:
    two = masks("###...", ".####.")
    responses = torch.tensor([[[0.9, 0.8, 0.2, 0.9, 0.9, 0.9]], [[0.1, 0.3, 0.4, 0.3, 0.2, 0.9]]])
    # Query 1 covers a pixel of response .2, below any threshold, and still has it where it is alone.
    assert label_map(two, responses).tolist() == [[1, 1, 2, 2, 2, 0]]
    assert label_map(two.flip(0), responses.flip(0)).tolist() == [[2, 2, 1, 1, 1, 0]]


def test_label_map_ties_go_to_the_first_and_nothing_is_background() -> None:
    assert label_map(masks("##", "##"), torch.full((2, 1, 2), 0.5)).tolist() == [[1, 1]]
    assert label_map(masks("##")[:0], torch.zeros(0, 1, 2)).tolist() == [[0, 0]]


@given(st.integers(0, 2**31))
def test_label_map_of_cut_responses_is_their_argmax(seed: int) -> None:
    responses = torch.from_numpy(np.random.default_rng(seed).random((3, 4, 5), np.float32))
    strongest, query = responses.max(0)
    expected = torch.where(strongest > 0.5, query + 1, 0)
    assert torch.equal(label_map(responses > 0.5, responses), expected)


def test_records_become_json() -> None:
    assert SamRecord(2, 2 / 3, True).as_json() == {"matched": 2, "iou": 0.666667, "replaced": True}
    assert SamRecord().as_json() == {"matched": 0, "iou": None, "replaced": False}
