"""results.jsonl: its lines, its run-length codes, and a file cut short."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from carvid.errors import InputError, OutputError
from carvid.evidence import FrameOrigin
from carvid.frame import Frame
from carvid.measures.pair import iou
from carvid.media.rle import bounding_box_xywh, box_of_rle, decode_rle, encode_rle, iou_of_rles
from carvid.sinks.results import ResultsSink, read_results
from tests import tracked
from tests.sinks_cases import NASTY_QUERIES, SquareSegmenter, file_size_limit, result_for, square_frame

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(MASKS)
def test_codes_are_cocos_both_ways(mask):
    code = encode_rle(mask)
    assert json.loads(json.dumps(code)) == code
    assert code["size"] == list(mask.shape)
    np.testing.assert_array_equal(coco.decode(code), mask)
    np.testing.assert_array_equal(decode_rle(code), mask)
    assert coco.area(code) == mask.sum()


def test_long_runs_and_differences_decode_as_pycocotools_does():
    mask = np.random.default_rng(0).random((480, 854)) < 0.02
    mask[100:400, 50:600] = True
    code = encode_rle(mask)
    np.testing.assert_array_equal(decode_rle(code), mask)
    np.testing.assert_array_equal(decode_rle(code), coco.decode(code))


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ([2, 2], "5"),  # 5 pixels for 4
        ([2, 2], "3"),  # 3 pixels for 4
        ([2, 2], "4T"),  # ends within a run
        ([2, 2], "4 "),  # no such character
        ([2, 2], "O5"),  # a run of -1 pixels
        ([2, 2], ""),
        ([2.0, 2], "4"),
        ([-2, -2], "4"),
        ([2**20, 2**20], "PPPPPPPP1"),  # 2**40 pixels
    ],
)
def test_damaged_codes_are_refused(size, counts):
    with pytest.raises(InputError, match="run-length"):
        decode_rle({"size": size, "counts": counts})


@given(MASKS)
def test_box_is_the_smallest_that_holds_the_mask(mask):
    ys, xs = np.nonzero(mask)
    box = bounding_box_xywh(mask)
    if not mask.any():
        assert box is None
        return
    assert box == [xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1]


@given(MASKS)
def test_box_and_area_are_read_off_the_code(mask):
    assert box_of_rle(encode_rle(mask)) == (bounding_box_xywh(mask), mask.sum())


@given(st.data(), MASKS)
def test_iou_is_read_off_the_codes(data, mask):
    other = data.draw(hnp.arrays(np.bool_, mask.shape))
    assert iou_of_rles(encode_rle(mask), encode_rle(other)) == iou(mask, other)


def test_a_line_says_what_was_found_in_a_frame(tmp_path):
    frame = Frame(12, 0.4004, np.zeros((2, 3, 3), np.uint8), "00012")
    present = np.array([[0, 1, 1], [0, 0, 0]], np.bool_)
    absent = np.zeros((2, 3), np.bool_)
    with ResultsSink(tmp_path / "results.jsonl", ["the red car", "a dog"]) as sink:
        sink.write(frame, result_for(frame, [present, absent], [0.9, 0.1]))
    text = (tmp_path / "results.jsonl").read_text()
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "index": 12,
        "pts_seconds": 0.4004,
        "name": "00012",
        "queries": [
            {
                "query": "the red car",
                "score": 0.9,
                "present": True,
                "area_px": 2,
                "box_xywh": [1, 0, 2, 1],
                "rle": {"size": [2, 3], "counts": "21100"},
            },
            {
                "query": "a dog",
                "score": 0.1,
                "present": False,
                "area_px": 0,
                "box_xywh": None,
                "rle": {"size": [2, 3], "counts": "6"},
            },
        ],
        "steps": [{"live": [0, 1], "scores": [0.9, 0.1]}],
    }


def test_a_missing_timestamp_is_null(tmp_path):
    frame = Frame(0, None, np.zeros((2, 3, 3), np.uint8), "img")
    with ResultsSink(tmp_path / "r.jsonl", ["q"]) as sink:
        sink.write(frame, result_for(frame, [np.ones((2, 3), np.bool_)], [1]))
    assert '"pts_seconds": null' in (tmp_path / "r.jsonl").read_text()


def test_reader_gives_records_with_their_masks(tmp_path):
    segmenter = SquareSegmenter()
    frames = [square_frame(i) for i in range(3)]
    with ResultsSink(tmp_path / "r.jsonl", segmenter.queries) as sink:
        for frame in frames:
            sink.write(frame, segmenter.step(frame))
    records = list(read_results(tmp_path / "r.jsonl"))
    assert [record["index"] for record in records] == [0, 1, 2]
    for record, frame in zip(records, frames, strict=True):
        for query, mask in zip(record["queries"], segmenter.step(frame).masks, strict=True):
            np.testing.assert_array_equal(query["mask"], mask)
    assert "mask" not in next(read_results(tmp_path / "r.jsonl", masks=False))["queries"][0]


def test_any_query_keeps_to_its_line_and_comes_back_as_it_was(tmp_path):
    segmenter = SquareSegmenter(NASTY_QUERIES)
    with ResultsSink(tmp_path / "r.jsonl", NASTY_QUERIES) as sink:
        for i in range(2):
            sink.write(square_frame(i), segmenter.step(square_frame(i)))
    assert len((tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    for record in read_results(tmp_path / "r.jsonl"):
        assert tuple(query["query"] for query in record["queries"]) == NASTY_QUERIES


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_any_text_survives(tmp_path_factory, queries):
    path = tmp_path_factory.getbasetemp() / "any_text.jsonl"
    path.unlink(missing_ok=True)
    frame = square_frame(0)
    with ResultsSink(path, queries) as sink:
        sink.write(
            frame, result_for(frame, [np.zeros((4, 4), np.bool_)] * len(queries), [0.0] * len(queries))
        )
    (record,) = read_results(path)
    assert [query["query"] for query in record["queries"]] == queries


def test_a_line_is_there_as_soon_as_its_frame_is_done(tmp_path):
    segmenter = SquareSegmenter()
    with ResultsSink(tmp_path / "r.jsonl", segmenter.queries) as sink:
        for i in range(3):
            sink.write(square_frame(i), segmenter.step(square_frame(i)))
            assert (tmp_path / "r.jsonl").read_bytes().count(b"\n") == i + 1


def test_a_line_that_does_not_fit_is_taken_back(tmp_path):
    segmenter = SquareSegmenter()
    path = tmp_path / "r.jsonl"

    def write_lines():
        with ResultsSink(path, segmenter.queries) as sink:
            for i in range(100):
                sink.write(square_frame(i), segmenter.step(square_frame(i)))

    with file_size_limit(1000), pytest.raises(OutputError, match=r"r\.jsonl"):
        write_lines()
    data = path.read_bytes()
    assert data.endswith(b"\n")
    assert 500 < len(data) <= 1000
    assert [record["index"] for record in read_results(path)] == list(range(data.count(b"\n")))


def test_reader_passes_over_a_last_line_cut_short(tmp_path):
    segmenter = SquareSegmenter()
    path = tmp_path / "r.jsonl"
    with ResultsSink(path, segmenter.queries) as sink:
        for i in range(2):
            sink.write(square_frame(i), segmenter.step(square_frame(i)))
    path.write_bytes(path.read_bytes()[:-30])
    assert [record["index"] for record in read_results(path)] == [0]


@pytest.mark.parametrize(
    "line", ["not json", "[]", "{}", '{"queries": [{}]}', '{"queries": [{"rle": {}}]}', "[" * 100_000]
)
def test_reader_names_the_line_that_is_no_record(tmp_path, line):
    path = tmp_path / "r.jsonl"
    path.write_text('{"queries": []}\n' + line + "\n")
    with pytest.raises(InputError, match=r"r\.jsonl, line 2"):
        list(read_results(path))


def test_reader_names_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl"):
        list(read_results(tmp_path / "none.jsonl"))


def test_an_existing_file_is_not_written_over(tmp_path):
    (tmp_path / "r.jsonl").write_text("mine\n")
    with pytest.raises(OutputError, match=r"r\.jsonl"), ResultsSink(tmp_path / "r.jsonl", ["q"]):
        pass
    assert (tmp_path / "r.jsonl").read_text() == "mine\n"


def test_tracks_are_told_beside_their_queries(tmp_path):
    path = tmp_path / "r.jsonl"
    with ResultsSink(path, tracked.QUERIES) as sink:
        for frame, result in zip(tracked.frames(), tracked.results(), strict=True):
            sink.write(frame, result)
    third = json.loads(path.read_text().splitlines()[2])
    assert list(third) == ["index", "pts_seconds", "name", "queries", "key", "confidence", "keys", "objects"]
    assert third["objects"] == [
        {
            "id": 1,
            "query": "a car",
            "score": 0.75,
            "area_px": 4,
            "box_xywh": [0, 0, 2, 2],
            "rle": encode_rle(tracked.masks_of("11....")[1]),
        },
        {
            "id": 3,
            "query": "a car",
            "score": 0.625,
            "area_px": 4,
            "box_xywh": [3, 0, 2, 2],
            "rle": encode_rle(tracked.masks_of("...33.")[3]),
        },
    ]
    car, unicorn, dog = third["queries"]
    assert (car["query"], car["score"], car["present"], car["area_px"]) == ("a car", 0.75, True, 8)
    assert car["box_xywh"] == [0, 0, 5, 2]
    assert (unicorn["present"], dog["present"], dog["score"], dog["area_px"]) == (False, False, 0.125, 0)
    records = list(read_results(path))
    assert [[one["id"] for one in record["objects"]] for record in records] == [[1, 2], [2], [1, 3], [1]]
    assert records[0]["objects"][1]["mask"][0].astype(int).tolist() == [0, 0, 0, 0, 1, 1]
    assert records[2]["queries"][0]["mask"][0].astype(int).tolist() == [1, 1, 0, 1, 1, 0]
    origins = [(record["key"], record["confidence"], record["keys"]) for record in records]
    assert origins == [(True, 1, [0]), (False, 0.25, [0, 2]), (True, 1, [2]), (False, 0.333333, [2])]
    assert "mask" not in next(read_results(path, masks=False))["objects"][0]


def test_a_damaged_code_of_a_track_is_no_record(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"queries": [], "objects": [{"rle": {}}]}\n')
    with pytest.raises(InputError, match=r"r\.jsonl, line 1"):
        list(read_results(path))


def test_a_carried_frame_without_tracks_says_where_its_masks_come_from(tmp_path):
    path = tmp_path / "r.jsonl"
    frame = square_frame(7)
    result = result_for(frame, [np.ones((2, 3), np.bool_)], [0.5])
    with ResultsSink(path, ["q"]) as sink:
        sink.write(frame, replace(result, evidence=None, origin=FrameOrigin(False, 0.1234567, (5, 9))))
    (record,) = read_results(path)
    assert (record["key"], record["confidence"], record["keys"]) == (False, 0.123457, [5, 9])
    assert "objects" not in record
