"""The pure encoders: CVAT's and Label Studio's run lengths, polygons, JSON and XML piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco_masks

from carvid.export.brush_rle import encode_brush_rle
from carvid.export.cvat_rle import encode_cvat_rle
from carvid.export.json_stream import Members, write_json
from carvid.export.polygons import fill_polygon, mask_polygon, part_polygons
from carvid.export.xml_text import xml_attribute, xml_text
from tests.export_readers import read_brush_rle, read_cvat_rle
from tests.labelled import disk

Mask = NDArray[np.bool_]
SHAPES = st.tuples(st.integers(1, 14), st.integers(1, 14))


def picture(*rows: str) -> Mask:
    return np.array([[cell == "#" for cell in row] for row in rows])


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        (("..#", "##."), [2, 3, 1]),
        (("#.", ".#"), [0, 1, 2, 1]),
        (("##",), [0, 2]),
        (("..",), [2]),
        (("#",), [0, 1]),
    ],
)
def test_cvat_runs_go_along_the_rows_and_begin_with_background(
    rows: tuple[str, ...], runs: list[int]
) -> None:
    assert encode_cvat_rle(picture(*rows)) == runs


@given(SHAPES.flatmap(lambda shape: arrays(np.bool_, shape)))
def test_cvat_runs_come_back_as_the_mask(mask: Mask) -> None:
    height, width = mask.shape
    assert (read_cvat_rle(encode_cvat_rle(mask), height, width) == mask).all()


def test_cvats_own_reader_meets_the_mask() -> None:
    masks = pytest.importorskip("cvat_sdk.masks")
    mask = disk(30, 40, 12, 25, 9) & ~disk(30, 40, 12, 25, 3)
    y, x = np.nonzero(mask)
    left, top, right, bottom = int(x.min()), int(y.min()), int(x.max()), int(y.max())
    runs = encode_cvat_rle(mask[top : bottom + 1, left : right + 1])
    assert [*runs, left, top, right, bottom] == masks.encode_mask(mask)


def test_a_brush_code_is_the_one_of_the_format_bit_by_bit() -> None:
    # 8 words of 8 bits, runs of 3, 4, 8 or 16 bits; four words of 0 and four of 255, each a run of 3 bits.
    bits = f"{8:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    bits += "1" + "00" + "011" + "00000000" + "1" + "00" + "011" + "11111111"
    bits += "0" * (-len(bits) % 8)
    assert encode_brush_rle(picture(".#")) == [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@given(SHAPES.flatmap(lambda shape: arrays(np.bool_, shape)))
def test_brush_codes_come_back_as_the_mask(mask: Mask) -> None:
    assert (read_brush_rle(encode_brush_rle(mask), *mask.shape) == mask).all()


def test_long_runs_and_label_studios_own_reader() -> None:
    mask = np.zeros((300, 400), np.bool_)
    mask[100:250] = True
    code = encode_brush_rle(mask)
    assert (read_brush_rle(code, 300, 400) == mask).all()
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    alpha = brush.decode_rle(code).reshape(300, 400, 4)[..., 3]
    assert (alpha == mask * 255).all()


HOLES = picture(
    "............",
    ".##########.",
    ".#........#.",
    ".#.######.#.",
    ".#.#.##.#.#.",
    ".#.######.#.",
    ".#........#.",
    ".##########.",
    "............",
)


def test_one_part_with_holes_is_met_pixel_by_pixel() -> None:
    ring = disk(60, 80, 30, 40, 25) & ~disk(60, 80, 25, 30, 8) & ~disk(60, 80, 38, 50, 6)
    for mask in (ring, HOLES[2:7, 2:10], picture("###", "#.#", "###"), picture("#"), picture("##")):
        height, width = mask.shape
        polygon = mask_polygon(mask, 0)
        assert polygon.shape[1] == 2
        assert len(polygon) >= 3
        assert (fill_polygon(polygon, height, width) == mask).all()


def test_several_parts_are_joined_by_lines_one_pixel_wide() -> None:
    mask = np.zeros((20, 30), np.bool_)
    mask[2:8, 2:8] = mask[10:16, 20:26] = True
    filled = fill_polygon(mask_polygon(mask, 0), 20, 30)
    extra = filled & ~mask
    assert (filled >= mask).all()
    # The nearest corners, (7, 7) and (20, 10): a line of 12 pixels between them.
    assert extra.sum() == 12
    assert extra.any(axis=0).sum() == 12


@settings(max_examples=150, deadline=None)
@given(SHAPES.flatmap(lambda shape: arrays(np.bool_, shape)))
def test_any_mask_is_covered_and_one_part_is_exact(mask: Mask) -> None:
    if not mask.any():
        mask[0, 0] = True
    filled = fill_polygon(mask_polygon(mask, 0), *mask.shape)
    assert (filled >= mask).all()
    parts, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if parts == 2:
        assert (filled == mask).all()


@settings(max_examples=150, deadline=None)
@given(SHAPES.flatmap(lambda shape: arrays(np.bool_, shape)), st.sampled_from([0.0, 0.5, 2.0]))
def test_polygons_of_parts_are_exact_to_those_who_fill_centres_and_who_truncate(
    mask: Mask, tolerance_px: float
) -> None:
    if not mask.any():
        mask[0, 0] = True
    parts = part_polygons(mask, tolerance_px)
    assert all(len(part) >= 3 for part in parts)
    labels, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    assert len(parts) == labels - 1
    if tolerance_px:
        return
    codes = coco_masks.frPyObjects([part.reshape(-1).tolist() for part in parts], *mask.shape)
    np.testing.assert_array_equal(coco_masks.decode(coco_masks.merge(codes)), mask)
    drawn = np.zeros(mask.shape, np.uint8)
    for part in parts:
        cv2.fillPoly(drawn, [part.astype(np.int32)], (1,))
    np.testing.assert_array_equal(drawn, mask)


def test_the_tolerance_takes_vertices_away_and_little_of_the_mask() -> None:
    mask = disk(100, 100, 50, 50, 40) & ~disk(100, 100, 50, 50, 15)
    exact, coarse = mask_polygon(mask, 0), mask_polygon(mask, 1.0)
    filled = fill_polygon(coarse, 100, 100)
    iou = (filled & mask).sum() / (filled | mask).sum()
    assert len(coarse) < len(exact) / 4
    assert 0.95 < iou < 1


def test_json_is_written_item_by_item() -> None:
    pieces: list[str] = []
    held = []

    def items() -> Iterator[dict[str, int]]:
        for i in range(3):
            held.append(len(pieces))
            yield {"a": i}

    value = {"list": items(), "object": Members((f"k{i}", iter([i])) for i in range(2)), "text": 'é"\n'}
    write_json(pieces.append, value)
    assert held == sorted(set(held)), "each item is written before the next is made"
    expected = {"list": [{"a": 0}, {"a": 1}, {"a": 2}], "object": {"k0": [0], "k1": [1]}, "text": 'é"\n'}
    assert json.loads("".join(pieces)) == expected
    assert "".join(pieces).isascii()


@pytest.mark.parametrize("value", [iter(()), Members(())])
def test_empty_json(value: object) -> None:
    pieces: list[str] = []
    write_json(pieces.append, value)
    assert not json.loads("".join(pieces))


def test_xml_takes_any_text() -> None:
    nasty = "<a> & \"b\" 'c'\n\r\t\x07\udcff赤"
    safe = "<a> & \"b\" 'c'\n\r\t��赤"
    element = ElementTree.fromstring(f"<x y={xml_attribute(nasty)}>{xml_text(nasty)}</x>")
    assert element.get("y") == safe
    assert element.text == safe
