"""Exports and triage of a dataset with several objects of a query and with masks corrected by hand."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from carvid.davis.dataset import read_dataset
from carvid.export import FORMATS, ExportOptions, ExportSummary, export_dataset
from carvid.export.formats import find_format
from carvid.media.palette import read_label_png
from carvid.media.rle import decode_rle
from carvid.review import review_dataset
from carvid.store.corrections import Corrections
from tests.export_readers import read_brush_rle, read_cvat_video, read_yolo_labels
from tests.labelled import Labelled, disk, write_dataset
from tests.media import moving_square, write_video

HEIGHT, WIDTH = 48, 64
LEFT, MIDDLE, RIGHT = (disk(HEIGHT, WIDTH, 24, x, 10) for x in (14, 30, 50))
NOTE = "masks corrected by hand: 1; they are exported as corrected"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects 1 and 2 are disks, object 3 a dog; in frame 1 object 2 was moved by hand, onto the other disk."""
    folder = tmp_path_factory.mktemp("case")
    video = write_video(folder / "a.mp4", moving_square(2))
    masks = np.stack([np.stack([LEFT, RIGHT, MIDDLE & False]), np.stack([LEFT, RIGHT, MIDDLE])])
    written = write_dataset(
        folder / "dataset", [Labelled("a.mp4", video, ("the disk", "a dog"), masks, objects=(0, 0, 1))]
    )
    with Corrections(written) as corrections:
        corrections.correct(1, 1, 2, MIDDLE, expected_revision=0)
    return written


def export(dataset: Path, name: str, out: Path) -> ExportSummary:
    # Only what is made of pictures needs them here.
    return export_dataset(
        dataset,
        name,
        out,
        ExportOptions(pictures=False if find_format(name).pictures == "optional" else None),
    )


def only(shape: np.ndarray, *others: np.ndarray) -> np.ndarray:
    return shape & ~np.any(others, axis=0)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_how_many_masks_were_corrected(dataset: Path, tmp_path: Path, name: str) -> None:
    summary = export(dataset, name, tmp_path / "out")
    assert summary.notes[-1] == NOTE
    assert summary.masks == (4 if name in ("ytvos", "davis", "mots") else 5)
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    assert index["videos"][0]["queries"] == [
        {"object": "001", "query_id": 1, "text": "the disk"},
        {"object": "002", "query_id": 1, "text": "the disk"},
        {"object": "003", "query_id": 2, "text": "a dog"},
    ]


def test_coco(dataset: Path, tmp_path: Path) -> None:
    export(dataset, "coco", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "annotations" / "instances_default.json").read_bytes())[
        "annotations"
    ]
    assert [(each["image_id"], each["attributes"]["track_id"], each["category_id"]) for each in found] == [
        (1, 1, 1),
        (1, 2, 1),
        (2, 1, 1),
        (2, 2, 1),
        (2, 3, 2),
    ]
    np.testing.assert_array_equal(decode_rle(found[3]["segmentation"]), MIDDLE)
    assert [each.get("source", each.get("score")) for each in found] == [0.9, 0.9, 0.9, "hand", 0.9]


def test_label_maps_give_a_correction_its_pixels(dataset: Path, tmp_path: Path) -> None:
    export(dataset, "ytvos", tmp_path / "ytvos")
    second = read_label_png(tmp_path / "ytvos" / "train" / "Annotations" / "000001" / "00001.png")
    np.testing.assert_array_equal(second == 1, only(LEFT, MIDDLE))
    np.testing.assert_array_equal(second == 2, MIDDLE)
    # The dog's mask lies under the correction.
    assert second.max() == 2
    meta = json.loads((tmp_path / "ytvos" / "train" / "meta.json").read_bytes())["videos"]["000001"][
        "objects"
    ]
    assert meta == {label: {"category": "others", "frames": ["00000", "00001"]} for label in ("1", "2")}
    export_dataset(dataset, "davis", tmp_path / "davis")
    np.testing.assert_array_equal(
        read_label_png(tmp_path / "davis" / "Annotations" / "480p" / "000001" / "00001.png"), second
    )
    (video,) = read_dataset(tmp_path / "davis").videos
    assert video.expressions[0] == ("the disk", "the disk")


def test_masks_and_cut_outs(dataset: Path, tmp_path: Path) -> None:
    for name in ("masks", "rgba"):
        export(dataset, name, tmp_path / name)
        with Image.open(tmp_path / name / "000001" / "002" / "00001.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture.getchannel(picture.getbands()[-1])) > 0, MIDDLE)


def test_yolo_and_cvat(dataset: Path, tmp_path: Path) -> None:
    export(dataset, "yolo-seg", tmp_path / "yolo")
    lines = list(read_yolo_labels(tmp_path / "yolo" / "labels" / "train" / "000001_00001.txt", HEIGHT, WIDTH))
    assert [number for number, _ in lines] == [0, 0, 1]
    assert (lines[1][1] & MIDDLE).sum() > 0.95 * MIDDLE.sum()
    export(dataset, "cvat", tmp_path / "cvat")
    path = tmp_path / "cvat" / "annotations" / "000001.xml"
    tracks = [(frame, label) for frame, label, _ in read_cvat_video(path)]
    assert tracks == [(0, "the disk"), (0, "the disk"), (1, "the disk"), (1, "the disk"), (1, "a dog")]
    np.testing.assert_array_equal(list(read_cvat_video(path))[3][2], MIDDLE)
    sources = [track.get("source") for track in ElementTree.parse(path).getroot().iter("track")]
    assert sources == ["auto", "auto", "auto", "manual", "auto"]
    scores = [
        track.findtext("mask/attribute[@name='score']") for track in ElementTree.parse(path).iter("track")
    ]
    assert scores == ["0.900000", "0.900000", "0.900000", "", "0.900000"]


def test_labelstudio(dataset: Path, tmp_path: Path) -> None:
    export(dataset, "labelstudio", tmp_path / "out")
    tasks = json.loads((tmp_path / "out" / "image_tasks" / "000001.json").read_bytes())
    regions = tasks[1]["predictions"][0]["result"]
    assert [region["id"] for region in regions] == ["v1f1q1o1", "v1f1q1o2", "v1f1q2"]
    assert [region["score"] for region in regions] == [0.9, 1.0, 0.9]
    np.testing.assert_array_equal(read_brush_rle(regions[1]["value"]["rle"], HEIGHT, WIDTH), MIDDLE)
    (task,) = json.loads((tmp_path / "out" / "video_tasks" / "000001.json").read_bytes())
    boxes = task["predictions"][0]["result"]
    assert [(box["id"], len(box["value"]["sequence"])) for box in boxes] == [
        ("v1q1o1", 2),
        ("v1q1o2", 2),
        ("v1q2", 1),
    ]
    assert boxes[1]["value"]["sequence"][1]["x"] == 100 * 20 / WIDTH


def test_review_takes_the_correction_without_a_score(dataset: Path, tmp_path: Path) -> None:
    review_dataset(dataset, tmp_path / "review.csv")
    with (tmp_path / "review.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    # The dog appears in frame 1: its area changed by 1. Of the correction nothing is doubtful.
    assert (first["frame_index"], first["query"], first["total"]) == ("1", "a dog", "0.250000")
    assert (second["frame_index"], second["total"]) == ("0", "0.000000")
    copy = shutil.copytree(dataset, tmp_path / "copy")
    with Corrections(copy) as corrections:
        corrections.correct(1, 0, 1, LEFT & False, expected_revision=0)
    review_dataset(copy, tmp_path / "review.csv")
    with (tmp_path / "review.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (second["query"], second["score"], second["present"], second["area_px"]) == (
        "the disk",
        "",
        "0",
        "0",
    )


def test_a_video_without_objects_is_exported_and_not_ranked(tmp_path: Path) -> None:
    empty = Labelled("a.mp4", tmp_path / "a.mp4", ("q",), np.zeros((2, 0, 4, 5), np.bool_), objects=())
    dataset = write_dataset(tmp_path / "dataset", [empty])
    for name in ("coco", "masks", "davis", "labelstudio"):
        assert export(dataset, name, tmp_path / name).masks == 0
    assert review_dataset(dataset).rows == 0
