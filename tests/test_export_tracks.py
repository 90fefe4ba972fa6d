"""Each format, and the review, of a dataset with tracks: two of one query, one of which is gone for a frame, and one
that comes late; a query without any."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from carvid.davis.dataset import read_dataset
from carvid.errors import UsageError
from carvid.export import FORMATS, ExportOptions, ExportSummary, export_dataset
from carvid.media.palette import read_label_png
from carvid.review import review_dataset
from carvid.store.agreement import agree, register
from carvid.store.ledger import Ledger
from carvid.store.staging import StagingWriter
from carvid.store.task import Outcome, VideoRequest
from tests import tracked
from tests.export_readers import read_cvat_video
from tests.labelled import Labelled, write_dataset
from tests.media import write_folder

# (video, frame, object) -> columns, as `tests.tracked` has them; the second video has only the last two frames.
WANTED = {
    **{(1, 0, 1): "11....", (1, 0, 2): "....11", (1, 1, 2): "....11"},
    **{(1, 2, 1): "11....", (1, 2, 3): "...11.", (1, 3, 1): "11...."},
    **{(2, 2, 1): "11....", (2, 2, 3): "...11.", (2, 3, 1): "11...."},
}
# The dog is in no frame of the second video, so its tracks are 1 and 3.
OBJECTS = {1: {1: "a car", 2: "a dog", 3: "a car"}, 2: {1: "a car", 3: "a car"}}

Key = tuple[int, int, int]
Exported = dict[str, tuple[Path, ExportSummary]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracks")
    images = write_folder(folder / "pictures", [frame.image for frame in tracked.frames()])
    results = tracked.results()
    (folder / "dataset").mkdir()
    with Ledger(folder / "dataset", "me") as ledger:
        agree(ledger, {"settings": {"theta": 0.3}, "stream": {"reader": "pyav", "every": 1}}, "hash")
        videos = [("a.mp4", 0), ("b.mp4", 2)]
        register(ledger, [VideoRequest(path, str(images), tracked.QUERIES, first) for path, first in videos])
        for shown in (results, results[2:]):
            task = ledger.claim(60)
            assert task is not None
            staged = folder / "staged"
            with StagingWriter(staged, task.video_id, task.query_ids, 0.5) as writer:
                for each in shown:
                    writer.write(each)
            assert ledger.commit(task, staged, Outcome(None, None, 6, 2, "25/1", len(shown)))
    return folder / "dataset"


@pytest.fixture(scope="module")
def exported(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exports")
    return {name: (folder / name, export_dataset(dataset, name, folder / name)) for name in FORMATS}


def columns(mask: np.ndarray) -> str:
    assert mask.shape == (2, 6)
    assert (mask[0] == mask[1]).all()
    return "".join(".1"[int(inside)] for inside in mask[0] > 0)


def load(path: Path) -> dict:
    return json.loads(path.read_bytes())


def test_every_format_counts_the_tracks_of_each_frame(exported: Exported) -> None:
    for name, (_, summary) in exported.items():
        assert (summary.videos, summary.frames, summary.masks) == (2, 6, len(WANTED)), name
        assert summary.left_out_objects == 0


def test_the_index_names_the_tracks_and_the_queries_without_any(exported: Exported) -> None:
    for out, _ in exported.values():
        first, second = load(out / "index.json")["videos"]
        assert [(each["object"], each["text"]) for each in first["queries"]] == [
            ("001", "a car"),
            ("002", "a dog"),
            ("003", "a car"),
            (None, "a unicorn"),
        ]
        assert [(each["object"], each["query_id"]) for each in second["queries"]] == [
            ("001", 1),
            ("003", 1),
            (None, 2),
            (None, 3),
        ]


def test_coco_is_read_as_coco_vid(exported: Exported) -> None:
    coco = COCO(exported["coco"][0] / "annotations" / "instances_default.json")
    found, instances = {}, defaultdict(set)
    # As CocoVID of mmtracking finds the images of a video: by frame_id, without gaps, from 0.
    images: dict[int, list[dict]] = defaultdict(list)
    for image in coco.dataset["images"]:
        images[image["video_id"]].append(image)
    for each in images.values():
        assert sorted(image["frame_id"] for image in each) == list(range(len(each)))
    assert [(image["frame_id"], image["frame_index"]) for image in images[2]] == [(0, 2), (1, 3)]
    for each in coco.dataset["annotations"]:
        image, track = coco.imgs[each["image_id"]], each["attributes"]["track_id"]
        assert image["video_id"] == each["video_id"]
        found[each["video_id"], image["frame_index"], track] = columns(coco.annToMask(each))
        assert coco.cats[each["category_id"]]["name"] == OBJECTS[each["video_id"]][track]
        assert each["score"] == tracked.SCORES[track]
        instances[each["instance_id"]].add((each["video_id"], track))
    assert found == WANTED
    assert instances == {1: {(1, 1)}, 2: {(1, 2)}, 3: {(1, 3)}, 4: {(2, 1)}, 5: {(2, 3)}}


def test_coco_without_tracks_has_the_keys_it_had(tmp_path: Path) -> None:
    masks = np.ones((1, 1, 2, 6), np.bool_)
    plain = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", tmp_path / "a.mp4", ("a",), masks)])
    export_dataset(plain, "coco", tmp_path / "out", ExportOptions(pictures=False))
    data = load(tmp_path / "out" / "annotations" / "instances_default.json")
    assert "frame_id" not in data["images"][0]
    assert "instance_id" not in data["annotations"][0]


def test_ytvis_has_a_null_where_a_track_is_gone(exported: Exported) -> None:
    data = load(exported["ytvis"][0] / "annotations" / "youtube_vis_train" / "instances.json")
    names = {each["id"]: each["name"] for each in data["categories"]}
    found = {}
    for track in data["annotations"]:
        number = track["attributes"]["track_id"]
        assert names[track["category_id"]] == OBJECTS[track["video_id"]][number]
        for place, code in enumerate(track["segmentations"]):
            assert (code is None) == (track["areas"][place] is None) == (track["bboxes"][place] is None)
            if code is not None:
                mask = coco_masks.decode(coco_masks.frPyObjects(code, *code["size"]))
                found[track["video_id"], place + 2 * (track["video_id"] == 2), number] = columns(mask)
    assert found == WANTED
    assert [track["id"] for track in data["annotations"]] == [1, 2, 3, 4, 5]


def parts(folder: Path) -> Iterator[tuple[Key, str]]:
    """The parts of the label maps below a folder, by their labels."""
    for path in folder.rglob("*.png"):
        labels = read_label_png(path)
        for label in np.unique(labels[labels > 0]).tolist():
            yield (int(path.parent.name), int(path.stem), label), columns(labels == label)


def test_ytvos_labels_are_tracks(exported: Exported) -> None:
    out = exported["ytvos"][0] / "train"
    assert dict(parts(out / "Annotations")) == WANTED
    objects = load(out / "meta.json")["videos"]
    assert objects["000001"]["objects"] == {
        "1": {"category": "others", "frames": ["00000", "00002", "00003"]},
        "2": {"category": "dog", "frames": ["00000", "00001"]},
        "3": {"category": "others", "frames": ["00002"]},
    }
    expressions = load(out.parent / "meta_expressions" / "train" / "meta_expressions.json")["videos"]
    assert list(expressions["000001"]["expressions"].values()) == [
        {"exp": "a car", "obj_id": "1"},
        {"exp": "a dog", "obj_id": "2"},
        {"exp": "a car", "obj_id": "3"},
    ]


def test_davis_has_the_highest_label_in_the_first_frame(exported: Exported) -> None:
    out = exported["davis"][0]
    # The dog is the last of those in the first frame, the second car comes later.
    labels = {1: {1: 1, 3: 2, 2: 3}, 2: {1: 1, 3: 2}}
    wanted = {(video, frame, labels[video][one]): row for (video, frame, one), row in WANTED.items()}
    assert dict(parts(out / "Annotations" / "480p")) == wanted
    first, second = read_dataset(out).videos
    assert first.expressions[0] == ("a car", "a car", "a dog")
    assert second.expressions[0] == ("a car", "a car")


def test_cvat_keeps_every_mask_and_its_track(exported: Exported) -> None:
    out = exported["cvat"][0]
    found: dict[Key, str] = {}
    for path in (out / "annotations").iterdir():
        tracks = ElementTree.parse(path).getroot().findall("track")
        # CVAT keeps the first mask of a track, with its attributes.
        for track, (frame, label, mask) in zip(tracks, read_cvat_video(path), strict=True):
            values = {each.get("name"): each.text for each in track[0].findall("attribute")}
            number = int(values["track_id"] or 0)
            assert label == OBJECTS[int(path.stem)][number]
            assert float(values["score"] or 0) == tracked.SCORES[number]
            assert [shape.get("outside") for shape in track] == (["0"] if frame == 3 else ["0", "1"])
            found[int(path.stem), frame, number] = columns(mask)
        names = [each.text for each in ElementTree.parse(path).getroot().iterfind(".//attribute/name")]
        assert names == ["score", "track_id"] * 3
    assert found == WANTED
    for label in json.loads((out / "labels.json").read_bytes()):
        assert [each["name"] for each in label["attributes"]] == ["score", "track_id"]


def test_labelstudio_ends_a_span_where_a_track_is_gone(exported: Exported) -> None:
    out = exported["labelstudio"][0]
    (task,) = json.loads((out / "video_tasks" / "000001.json").read_bytes())
    spans = {
        region["id"]: [(key["frame"], key["enabled"]) for key in region["value"]["sequence"]]
        for region in task["predictions"][0]["result"]
    }
    assert spans == {
        "v1q1o1": [(1, False), (3, True), (4, False)],
        "v1q3": [(1, True), (2, False)],
        "v1q1o3": [(3, False)],
    }
    images = json.loads((out / "image_tasks" / "000001.json").read_bytes())
    shown = [[region["id"] for region in each["predictions"][0]["result"]] for each in images]
    assert shown == [["v1f0q1o1", "v1f0q3"], ["v1f1q3"], ["v1f2q1o1", "v1f2q1o3"], ["v1f3q1o1"]]


def test_yolo_has_a_line_for_each_track(exported: Exported) -> None:
    out = exported["yolo-seg"][0]
    names = yaml.safe_load((out / "data.yaml").read_bytes())["names"]
    found = {
        path.stem: [names[int(line.split()[0])] for line in path.read_text().splitlines()]
        for path in (out / "labels").rglob("000001_*.txt")
    }
    assert found == {
        "000001_00000": ["a car", "a dog"],
        "000001_00001": ["a dog"],
        "000001_00002": ["a car", "a car"],
        "000001_00003": ["a car"],
    }


def test_masks_and_cut_outs_lie_in_the_tracks_folder(exported: Exported) -> None:
    for name, black in (("masks", 4 * 3 + 2 * 2 - len(WANTED)), ("rgba", 0)):
        found, empty = {}, 0
        for path in exported[name][0].rglob("*.png"):
            with Image.open(path) as picture:
                mask = np.asarray(picture)[..., -1] if name == "rgba" else np.asarray(picture)
            empty += not mask.any()
            if mask.any():
                found[int(path.parts[-3]), int(path.stem), int(path.parts[-2])] = columns(mask)
        assert found == WANTED
        assert empty == black


def test_mots_lines(exported: Exported) -> None:
    out = exported["mots"][0]
    found = {}
    for path in out.glob("*.txt"):
        for line in path.read_text().splitlines():
            frame, number, kind, height, width, code = line.split(" ")
            assert int(number) // 1000 == int(kind)
            mask = coco_masks.decode({"size": [int(height), int(width)], "counts": code.encode()})
            found[int(path.stem), int(frame), int(number) % 1000] = columns(mask)
            assert {"1": "a car", "3": "a dog"}[kind] == OBJECTS[int(path.stem)][int(number) % 1000]
    assert found == WANTED
    assert json.loads((out / "classes.json").read_bytes()) == [
        {"id": place, "query_id": place, "name": text} for place, text in enumerate(tracked.QUERIES, 1)
    ]


def test_mots_in_trackeval(exported: Exported, tmp_path: Path) -> None:
    trackeval = pytest.importorskip("trackeval")
    out = exported["mots"][0]
    other = tmp_path / "trackers" / "other"
    other.mkdir(parents=True)
    for path in out.glob("*.txt"):
        # A tracker that takes the car for another one after it was gone.
        lines = [line.split(" ") for line in path.read_text().splitlines()]
        changed = [[*line[:1], "1009" if line[:2] == ["3", "1001"] else line[1], *line[2:]] for line in lines]
        (other / path.name).write_text("".join(" ".join(line) + "\n" for line in changed))
    (tmp_path / "trackers" / "itself").symlink_to(out)
    read = trackeval.datasets.KittiMOTS(
        {
            "GT_FOLDER": str(out),
            "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt",
            "TRACKERS_FOLDER": str(tmp_path / "trackers"),
            "TRACKER_SUB_FOLDER": "",
            "OUTPUT_FOLDER": str(tmp_path / "scores"),
            "CLASSES_TO_EVAL": ["car"],  # its name for class 1
            "SEQ_INFO": {"000001": 4, "000002": 4},
            "PRINT_CONFIG": False,
        }
    )
    ids = [each.tolist() for each in read.get_raw_seq_data("itself", "000001")["tracker_ids"]]
    assert ids == [[1001, 3002], [3002], [1001, 1003], [1001]]
    evaluator = trackeval.Evaluator({"PRINT_RESULTS": False, "PRINT_CONFIG": False, "PLOT_CURVES": False})
    results, _ = evaluator.evaluate([read], [trackeval.metrics.HOTA({"PRINT_CONFIG": False})])
    scores = {
        name: results["KittiMOTS"][name]["COMBINED_SEQ"]["car"]["HOTA"]["HOTA"]
        for name in ("itself", "other")
    }
    assert scores["itself"].min() == pytest.approx(1)
    assert 0.5 < scores["other"].max() < 1


def test_mots_shares_no_pixel_and_leaves_out_class_10(tmp_path: Path) -> None:
    masks = np.zeros((1, 11, 2, 12), np.bool_)
    for place in range(11):
        masks[0, place, :, place : place + 2] = True
    masks[0, 3] = masks[0, 4]
    queries = tuple(f"thing {place}" for place in range(1, 12))
    plain = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", tmp_path / "a.mp4", queries, masks)])
    summary = export_dataset(plain, "mots", tmp_path / "out")
    lines = [line.split(" ") for line in (tmp_path / "out" / "000001.txt").read_text().splitlines()]
    codes = [{"size": [2, 12], "counts": line[5].encode()} for line in lines]
    assert sum(coco_masks.decode(code).astype(int) for code in codes).max() == 1
    # The fourth is hidden by the fifth.
    kinds = [line[2] for line in lines]
    assert kinds == ["1", "2", "3", "5", "6", "7", "8", "9", "11", "12"]
    assert [line[1] for line in lines][-2:] == ["11010", "12011"]
    assert summary.masks == 10
    classes = json.loads((tmp_path / "out" / "classes.json").read_bytes())
    assert [each["id"] for each in classes][-3:] == [9, 11, 12]


def test_mots_has_no_room_for_a_thousand_objects(tmp_path: Path) -> None:
    masks = np.zeros((1, 1000, 1, 1), np.bool_)
    queries = tuple(map(str, range(1000)))
    plain = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", tmp_path / "a.mp4", queries, masks)])
    with pytest.raises(UsageError, match=r"video 1 has an object 1000; MOTS has room for ids up to 999"):
        export_dataset(plain, "mots", tmp_path / "out")


def test_a_hidden_track_is_named_by_its_id(tmp_path: Path) -> None:
    masks = {1: tracked.masks_of("11....")[1], 3: tracked.masks_of("33....")[3]}
    (tmp_path / "dataset").mkdir()
    with Ledger(tmp_path / "dataset", "me") as ledger:
        register(ledger, [VideoRequest("a.mp4", "/a.mp4", tracked.QUERIES)])
        task = ledger.claim(60)
        assert task is not None
        with StagingWriter(tmp_path / "staged", 1, task.query_ids, 0.5) as writer:
            writer.write(tracked.tracked(0, masks))
        ledger.commit(task, tmp_path / "staged", Outcome(None, None, 6, 2, "25/1", 1))
    plain = ExportOptions(pictures=False)
    summary = export_dataset(tmp_path / "dataset", "ytvos", tmp_path / "out", plain)
    assert summary.notes == ("video 1: no frame shows object 3 of 'a car'; it is no object of the export",)


def test_the_review_ranks_tracks_that_blink(dataset: Path, tmp_path: Path) -> None:
    summary = review_dataset(dataset, tmp_path / "review.csv")
    assert (summary.frames, summary.rows) == (6, 6)
    with (tmp_path / "review.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["video_id"] == "1"]
    told = [[row[name] for name in ("frame_index", "total", "query", "present", "score")] for row in rows]
    assert told == [
        ["1", "0.500000", "a car", "0", ""],  # the first car is gone for one frame
        ["2", "0.500000", "a car", "1", "0.625000"],  # the second is there for one
        ["3", "0.250000", "a car", "0", ""],  # and has gone
        ["0", "0.000000", "a car", "1", "0.750000"],
    ]
