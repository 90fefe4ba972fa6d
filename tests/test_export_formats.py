"""Each format read back, by its own library where there is one, and compared pixel by pixel."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from carvid.davis.dataset import read_dataset
from carvid.davis.evaluate import evaluate
from carvid.export import FORMATS, ExportOptions, ExportSummary, export_dataset
from carvid.export.pictures import encode_jpeg
from carvid.export.yolo import held_out
from carvid.export.ytvos import CLASSES, category
from carvid.media.palette import read_label_png
from carvid.store.rows import Video
from carvid.stream import open_frames
from tests.export_cases import NASTY, QUERIES, case, expected
from tests.export_readers import read_brush_rle, read_cvat_images, read_cvat_video, read_yolo_labels
from tests.labelled import Labelled, scene, write_dataset
from tests.media import moving_square, write_video

HEIGHT, WIDTH = 48, 64
CVAT_NASTY = 'a <ring> & "quotes" / ..\\\n{0} 赤い� #1'


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case(tmp_path_factory.mktemp("case"))


@pytest.fixture(scope="module")
def exported(
    dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, ExportSummary]]:
    folder = tmp_path_factory.mktemp("exports")
    return {name: (folder / name, export_dataset(dataset, name, folder / name)) for name in FORMATS}


VIDEO = Video(1, "a.mp4", "/a.mp4", 0, None, None, None, "done", None, 64, 48, None, 1, ())

Exported = dict[str, tuple[Path, ExportSummary]]


def masks_of(dataset: Path) -> dict[tuple[int, int, str], np.ndarray]:
    """(video id, frame index, query) -> mask, of those that are not empty."""
    return {
        (video, frame, text): mask
        for video, frame, texts, masks, _ in expected(dataset)
        for text, mask in zip(texts, masks, strict=True)
        if mask.any()
    }


def label_maps_of(dataset: Path) -> dict[tuple[int, int], np.ndarray]:
    """(video id, frame index) -> label map with the queries' places as labels."""
    return {
        (video, frame): sum(part * np.uint8(place) for place, part in enumerate(parts, 1))
        for video, frame, _, _, parts in expected(dataset)
    }


def assert_same(found: dict, wanted: dict) -> None:
    assert sorted(found) == sorted(wanted)
    for key, mask in wanted.items():
        np.testing.assert_array_equal(found[key], mask, err_msg=str(key))


def test_every_format_counts_what_it_writes(exported: Exported, dataset: Path) -> None:
    for name, (out, summary) in exported.items():
        assert (summary.format, summary.out, summary.videos) == (name, str(out), 3)
        assert summary.masks == len(masks_of(dataset)) == 13
        # DAVIS has no frames before the first object.
        assert summary.frames == (8 if name == "davis" else 9)
        assert summary.skipped == (
            "video 4 (broken.mp4) is failed: no decodable frame",
            "video 5 (later.mp4) is waiting",
        )
        assert (summary.mean_iou_loss is None) == (summary.worst_iou_loss is None) == (name != "yolo-seg")


def test_every_format_says_which_folder_is_which_video(exported: Exported) -> None:
    for name, (out, _) in exported.items():
        index = json.loads((out / "index.json").read_bytes())
        assert (index["carvid_export"], index["format"]) == (1, name)
        assert [video["folder"] for video in index["videos"]] == ["000001", "000002", "000003"]
        paths = [video["path"] for video in index["videos"]]
        assert paths == ["a/-clip 赤.mp4", "b/-clip 赤.mp4", "pictures"]
        assert index["videos"][1]["queries"] == [
            {"object": "001", "query_id": 2, "text": "the disk"},
            {"object": "002", "query_id": 1, "text": NASTY},
        ]


def test_paths_are_made_from_ids_alone(exported: Exported) -> None:
    known = {
        "youtube_vis_train",
        *(
            "images",
            "default",
            "annotations",
            "image_tasks",
            "video_tasks",
            "labels",
            "train",
            "val",
            "valid",
        ),
        *(
            "Annotations_unsupervised",
            "ImageSets",
            "JPEGImages",
            "Annotations",
            "meta_expressions",
            "480p",
            "2017",
        ),
    }
    for out, _ in exported.values():
        for path in out.rglob("*"):
            if path.is_dir():
                assert path.name in known or path.name.isdecimal()
            elif path.suffix in (".png", ".jpg", ".txt"):
                assert path.stem.replace("_", "").isdecimal() or path.name == "val.txt"


def test_coco(exported: Exported, dataset: Path) -> None:
    out = exported["coco"][0]
    coco = COCO(out / "annotations" / "instances_default.json")
    found = {}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        image = coco.imgs[annotation["image_id"]]
        mask = coco.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"])
        assert mask.sum() == annotation["area"]
        x, y, w, h = annotation["bbox"]
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        text = coco.cats[annotation["category_id"]]["name"]
        key = (image["video_id"], image["frame_index"], text)
        found[key] = mask
        assert image["video_id"] == annotation["video_id"]
        assert annotation["score"] == 0.9
    assert_same(found, masks_of(dataset))
    assert len(coco.imgs) == 9
    assert coco.dataset["info"]["version"] == "0.1.0"
    assert coco.dataset["info"]["year"] == 2026
    assert coco.dataset["videos"][0] == {
        "id": 1,
        "name": "a/-clip 赤.mp4",
        "width": WIDTH,
        "height": HEIGHT,
        "fps": 30000 / 1001,
        "length": 4,
    }
    assert coco.dataset["videos"][2]["fps"] is None
    (license_,) = coco.dataset["licenses"]
    assert {image["license"] for image in coco.imgs.values()} == {license_["id"]}
    # The unicorn has no annotation and is a category all the same.
    assert [category["name"] for category in coco.dataset["categories"]] == [*QUERIES]
    for image in coco.imgs.values():
        with Image.open(out / "images" / "default" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])


def test_coco_in_datumaro(exported: Exported, dataset: Path) -> None:
    datumaro = pytest.importorskip("datumaro")
    out = exported["coco"][0]
    found = {}
    read = datumaro.Dataset.import_from(str(out), "coco_instances")
    names = [label.name for label in read.categories()[datumaro.AnnotationType.label]]
    for item in read:
        video, frame = map(int, item.id.split("_"))
        assert item.media.path == str(out / "images" / "default" / f"{item.id}.jpg")
        for annotation in item.annotations:
            if annotation.type == datumaro.AnnotationType.mask:
                found[video, frame, names[annotation.label]] = annotation.image
                assert annotation.attributes["track_id"] in (1, 2)
    assert_same(found, masks_of(dataset))


@pytest.mark.parametrize("tolerance_px", [0.0, 1.0])
def test_coco_polygons_lose_what_is_said(dataset: Path, tmp_path: Path, tolerance_px: float) -> None:
    options = ExportOptions(pictures=False, polygons=True, tolerance_px=tolerance_px)
    summary = export_dataset(dataset, "coco", tmp_path / "out", options)
    coco = COCO(tmp_path / "out" / "annotations" / "instances_default.json")
    wanted, losses = masks_of(dataset), []
    for annotation in coco.loadAnns(coco.getAnnIds()):
        assert all(len(part) >= 6 for part in annotation["segmentation"])
        image = coco.imgs[annotation["image_id"]]
        text = coco.cats[annotation["category_id"]]["name"]
        mask = wanted.pop((image["video_id"], image["frame_index"], text))
        found = coco.annToMask(annotation) > 0
        assert (annotation["area"], len(annotation["segmentation"])) == (
            mask.sum(),
            2 if text == NASTY else 1,
        )
        losses.append(1 - (found & mask).sum() / (found | mask).sum())
    assert not wanted
    assert summary.mean_iou_loss == pytest.approx(np.mean(losses))
    assert summary.worst_iou_loss == pytest.approx(max(losses))
    # Parts are polygons of their own and holes are kept, so that nothing need be lost.
    assert (max(losses) == 0) == (tolerance_px == 0)


def test_ytvis(exported: Exported, dataset: Path) -> None:
    out, summary = exported["ytvis"]
    data = json.loads((out / "annotations" / "youtube_vis_train" / "instances.json").read_bytes())
    names = {category["id"]: category["name"] for category in data["categories"]}
    videos = {video["id"]: video for video in data["videos"]}
    found = {}
    for track in data["annotations"]:
        video = videos[track["video_id"]]
        assert (track["length"], track["iscrowd"]) == (video["length"], 0)
        assert len(track["segmentations"]) == len(video["file_names"]) == video["length"]
        places = zip(
            video["file_names"], track["segmentations"], track["areas"], track["bboxes"], strict=True
        )
        for file_name, code, area, box in places:
            with Image.open(out / "train" / "JPEGImages" / file_name) as picture:
                assert picture.size == (video["width"], video["height"])
            if code is None:
                assert area is None
                assert box is None
                continue
            mask = coco_masks.decode(coco_masks.frPyObjects(code, *code["size"])) > 0
            frame = int(Path(file_name).stem.split("_")[1])
            found[track["video_id"], frame, names[track["category_id"]]] = mask
            x, y, w, h = box
            assert area == mask.sum() == mask[y : y + h, x : x + w].sum()
    assert_same(found, masks_of(dataset))
    assert [track["attributes"]["track_id"] for track in data["annotations"]] == [1, 2, 1, 2, 1]
    assert summary.notes == ("video 1: no frame shows 'a unicorn'; it is no object of the export",)


def test_ytvis_in_trackeval(exported: Exported, tmp_path: Path) -> None:
    trackeval = pytest.importorskip("trackeval")
    out = exported["ytvis"][0]
    truth = json.loads((out / "annotations" / "youtube_vis_train" / "instances.json").read_bytes())
    tracks = [track | {"score": 1.0} for track in truth["annotations"]]
    for track in tracks:
        codes = [code and coco_masks.frPyObjects(code, *code["size"]) for code in track["segmentations"]]
        track["segmentations"] = [code and code | {"counts": code["counts"].decode()} for code in codes]
    predictions = tmp_path / "youtube_vis_train" / "itself" / "data"
    predictions.mkdir(parents=True)
    (predictions / "results.json").write_text(json.dumps(tracks))
    read = trackeval.datasets.YouTubeVIS(
        {
            "GT_FOLDER": f"{out}/annotations/",
            "TRACKERS_FOLDER": f"{tmp_path}/",
            "SPLIT_TO_EVAL": "train",
            "PRINT_CONFIG": False,
        }
    )
    evaluator = trackeval.Evaluator({"PRINT_RESULTS": False, "PRINT_CONFIG": False, "PLOT_CURVES": False})
    results, _ = evaluator.evaluate([read], [trackeval.metrics.HOTA({"PRINT_CONFIG": False})])
    scores = results["YouTubeVIS"]["itself"]["COMBINED_SEQ"]["the disk"]["HOTA"]
    assert scores["HOTA"].min() == pytest.approx(1)


def test_ytvos(exported: Exported, dataset: Path) -> None:
    out, summary = exported["ytvos"]
    maps = {
        (int(path.parent.name), int(path.stem)): read_label_png(path)
        for path in (out / "train" / "Annotations").rglob("*.png")
    }
    assert_same(maps, label_maps_of(dataset))
    videos = json.loads((out / "train" / "meta.json").read_bytes())["videos"]
    assert videos["000001"]["objects"] == {
        "1": {"category": "others", "frames": ["00000", "00001", "00002", "00003"]},
        "2": {"category": "others", "frames": ["00001", "00002", "00003"]},
    }
    assert list(videos["000002"]["objects"]) == ["1", "2"]
    meta = json.loads((out / "meta_expressions" / "train" / "meta_expressions.json").read_bytes())["videos"]
    assert meta["000002"] == {
        "expressions": {
            "0": {"exp": "the disk", "obj_id": "1"},
            "1": {"exp": NASTY, "obj_id": "2"},
        },
        "frames": ["00002", "00003", "00004"],
    }
    for name, video in meta.items():
        for kind, suffix in (("JPEGImages", "jpg"), ("Annotations", "png")):
            files = sorted(path.name for path in (out / "train" / kind / name).iterdir())
            assert files == [f"{frame}.{suffix}" for frame in video["frames"]]
    assert summary.notes == ("video 1: no frame shows 'a unicorn'; it is no object of the export",)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("the dog", "dog"),
        ("A  giant\tPanda", "giant_panda"),
        ("an ape", "ape"),
        ("zebra", "zebra"),
        ("a dog's tail", "others"),
        ("the", "others"),
        ("dogs", "others"),
    ],
)
def test_ytvos_category_is_one_of_youtube_vos(query: str, found: str) -> None:
    assert category(query) == found
    assert len(CLASSES) == 65


def test_davis_is_a_complete_tree_for_the_scores(exported: Exported, dataset: Path, tmp_path: Path) -> None:
    out, summary = exported["davis"]
    read = read_dataset(out)
    assert [video.name for video in read.videos] == ["000001", "000002", "000003"]
    # In video 1 the disk is not in the first frame and the ring is, so the ring has the highest label.
    assert [video.expressions[0] for video in read.videos] == [
        ("the disk", NASTY),
        ("the disk", NASTY),
        ("the disk",),
    ]
    assert all(len({video.expressions[index] for index in range(4)}) == 1 for video in read.videos)
    wanted = label_maps_of(dataset)
    for video in read.videos:
        for path in video.truth.annotation_paths:
            place = (int(video.name), int(path.stem))
            label_map = wanted[place]
            if video.name == "000001":
                label_map = np.array([0, 2, 1], np.uint8)[label_map]
            np.testing.assert_array_equal(read_label_png(path), label_map)
    assert summary.notes[1:] == (
        "video 3 begins with frame 1: 1 frames before it show no object",
        "video 3 has 1 frame(s) in the export: `carvid eval` leaves it out of identity, which drops the first "
        "and the last",
    )
    assert (summary.left_out_videos, summary.left_out_frames, summary.left_out_objects) == (0, 1, 1)
    unsupervised = out / "Annotations_unsupervised"
    assert {path.relative_to(unsupervised): path.read_bytes() for path in unsupervised.rglob("*.png")} == {
        path.relative_to(out / "Annotations"): path.read_bytes()
        for path in (out / "Annotations").rglob("*.png")
    }
    predictions = shutil.copytree(out / "Annotations" / "480p", tmp_path / "predictions")
    scores = evaluate(out, predictions, workers=1)
    assert scores.left_out == (
        "identity: 000003 has 1 frame(s), of which the first and the last are dropped",
    )
    averages = [score.averages for score in scores.overall.values()]
    assert [found and found.jf_mean for found in averages] == [1, 1]


def test_davis_without_objects_is_left_out(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving_square(3))
    masks = scene(3)
    dataset = write_dataset(
        tmp_path / "dataset",
        [
            Labelled("a.mp4", video, QUERIES, np.zeros_like(masks)),
            Labelled("b.mp4", video, QUERIES, masks, stop=3),
        ],
    )
    summary = export_dataset(dataset, "davis", tmp_path / "out", ExportOptions(pictures=False))
    assert "video 1 is left out: no frame shows an object" in summary.notes
    assert (summary.videos, summary.frames) == (1, 3)
    assert (summary.left_out_videos, summary.left_out_frames, summary.left_out_objects) == (1, 3, 4)
    assert (tmp_path / "out" / "ImageSets" / "2017" / "val.txt").read_text() == "000002\n"
    assert not (tmp_path / "out" / "JPEGImages").exists()


def yolo_masks(out: Path) -> dict[tuple[int, int, str], np.ndarray]:
    names = yaml.safe_load((out / "data.yaml").read_bytes())["names"]
    found = {}
    for path in (out / "labels").rglob("*.txt"):
        video, frame = map(int, path.stem.split("_"))
        for number, mask in read_yolo_labels(path, HEIGHT, WIDTH):
            found[video, frame, names[number]] = mask
    return found


@pytest.mark.parametrize("tolerance_px", [0.0, 1.0, 3.0])
def test_yolo_loses_what_it_says(dataset: Path, tmp_path: Path, tolerance_px: float) -> None:
    options = ExportOptions(pictures=False, tolerance_px=tolerance_px)
    summary = export_dataset(dataset, "yolo-seg", tmp_path / "out", options)
    wanted, found = masks_of(dataset), yolo_masks(tmp_path / "out")
    assert sorted(found) == sorted(wanted)
    losses = [1 - (found[key] & mask).sum() / (found[key] | mask).sum() for key, mask in wanted.items()]
    assert summary.mean_iou_loss == pytest.approx(np.mean(losses))
    assert 0 < np.mean(losses) < 0.2
    if tolerance_px == 0:
        # Holes are kept; the ring alone loses anything, the line to its speck.
        for key, mask in wanted.items():
            assert (found[key] >= mask).all()
            assert (found[key] == mask).all() == (key[2] == "the disk")
    assert sorted(path.stem for path in (tmp_path / "out" / "labels").rglob("*.txt")) == sorted(
        f"{video:06d}_{frame:05d}" for video, frame, *_ in expected(dataset)
    )


def test_yolo_pictures_stand_beside_labels(exported: Exported) -> None:
    out, summary = exported["yolo-seg"]
    pictures, labels = (
        sorted(path.relative_to(out / kind).with_suffix("") for path in (out / kind).rglob("*.*"))
        for kind in ("images", "labels")
    )
    assert pictures == labels
    assert {(path.parent.name, path.name[:6]) for path in labels} == {
        ("val", "000001"),
        ("train", "000002"),
        ("train", "000003"),
    }
    data = yaml.safe_load((out / "data.yaml").read_bytes())
    assert (data["train"], data["val"]) == ("images/train", "images/val")
    assert summary.notes == ("1 of 3 videos are held out for val",)
    assert (out / "labels" / "train" / "000003_00000.txt").read_text() == ""


def held(options: ExportOptions, *paths: str) -> set[str]:
    videos = [replace(VIDEO, id=number, path=path) for number, path in enumerate(paths, 1)]
    chosen = held_out(videos, options.val_share, options.seed)
    return {video.path for video in videos if video.id in chosen}


def test_yolo_holds_out_whole_videos() -> None:
    names = [f"{number}.mp4" for number in range(20)]
    chosen = held(ExportOptions(), *names)
    assert len(chosen) == 4
    assert held(ExportOptions(), *reversed(names)) == chosen
    assert held(ExportOptions(seed=1), *names) != chosen
    # What is added later moves few of the others.
    assert len(held(ExportOptions(), *names, "20.mp4") & chosen) >= 3
    # Two ranges of a video are one.
    assert held(ExportOptions(val_share=0.9), "a.mp4", "a.mp4") == set()
    for share, count in ((0.0, 0), (0.01, 1), (0.5, 10), (0.99, 19)):
        assert len(held(ExportOptions(val_share=share), *names)) == count


@pytest.mark.parametrize(("share", "notes"), [(0.0, 0), (0.5, 1)])
def test_yolo_without_val_names_train_twice(tmp_path: Path, share: float, notes: int) -> None:
    one = Labelled("a.mp4", tmp_path / "a.mp4", ("a", "b", "c"), scene(1))
    dataset = write_dataset(tmp_path / "dataset", [one])
    options = ExportOptions(pictures=False, val_share=share)
    assert len(export_dataset(dataset, "yolo-seg", tmp_path / "out", options).notes) == notes
    data = yaml.safe_load((tmp_path / "out" / "data.yaml").read_bytes())
    assert data["train"] == data["val"] == "images/train"


def test_yolo_in_another_library_is_the_same(exported: Exported) -> None:
    supervision = pytest.importorskip("supervision")
    out = exported["yolo-seg"][0]
    found = {}
    for split in ("train", "val"):
        read = supervision.DetectionDataset.from_yolo(
            images_directory_path=str(out / "images" / split),
            annotations_directory_path=str(out / "labels" / split),
            data_yaml_path=str(out / "data.yaml"),
            force_masks=True,
        )
        for path, _, detections in read:
            video, frame = map(int, Path(path).stem.split("_"))
            if len(detections):
                for number, mask in zip(detections.class_id, detections.mask, strict=True):
                    found[video, frame, read.classes[number]] = mask
    assert_same(found, yolo_masks(out))


def test_cvat(exported: Exported, dataset: Path) -> None:
    out = exported["cvat"][0]
    found = {
        (int(path.stem), frame, NASTY if label == CVAT_NASTY else label): mask
        for path in (out / "annotations" / f"{video:06d}.xml" for video in (1, 2))
        for frame, label, mask in read_cvat_video(path)
    }
    # CVAT sorts "10" before "2"; only the name says which picture is meant.
    for name, label, mask in read_cvat_images(out / "annotations" / "000003.xml"):
        found[3, {"2": 0, "10": 1}[name], label] = mask
    assert_same(found, masks_of(dataset))
    labels = json.loads((out / "labels.json").read_bytes())
    assert {label["attributes"][0]["name"] for label in labels} == {"score"}
    assert [(label["name"], label["type"]) for label in labels] == [
        (CVAT_NASTY, "mask"),
        ("the disk", "mask"),
        ("a unicorn", "mask"),
    ]
    task = ElementTree.parse(out / "annotations" / "000002.xml").getroot().find("meta/task")
    assert task is not None
    # Frames are those of the whole source, of which 2, 3 and 4 are labelled.
    facts = [task.findtext(name) for name in ("name", "size", "mode")]
    assert facts == ["b/-clip 赤.mp4", "5", "interpolation"]
    assert [label.findtext("name") for label in task.iter("label")] == ["the disk", CVAT_NASTY]


def test_cvat_by_its_own_library(exported: Exported, dataset: Path) -> None:
    masks = pytest.importorskip("cvat_sdk.masks")
    models = pytest.importorskip("cvat_sdk.models")
    out, wanted = exported["cvat"][0], masks_of(dataset)
    for path in (out / "annotations").iterdir():
        root = ElementTree.parse(path).getroot()
        for holder in (*root.iter("track"), *root.iter("image")):
            for shape in holder.findall("mask"):
                if shape.get("outside") == "1":
                    continue
                x, y, w, h = (int(shape.get(name) or 0) for name in ("left", "top", "width", "height"))
                points = [*map(int, (shape.get("rle") or "").split(",")), x, y, x + w - 1, y + h - 1]
                label = shape.get("label") or holder.get("label") or ""
                frame = int(shape.get("frame") or holder.get("id") or 0)
                mask = wanted.pop((int(path.stem), frame, NASTY if label == CVAT_NASTY else label))
                read = masks.decode_mask(points, image_width=WIDTH, image_height=HEIGHT)
                np.testing.assert_array_equal(read, mask)
    assert not wanted
    for label in json.loads((out / "labels.json").read_bytes()):
        models.PatchedLabelRequest(**label)


def test_cvat_labels_that_would_be_cut_stay_different(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving_square(1))
    queries = ("x" * 64, "x" * 65, "x" * 66)
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", video, queries, scene(1))])
    export_dataset(dataset, "cvat", tmp_path / "out")
    names = [label["name"] for label in json.loads((tmp_path / "out" / "labels.json").read_bytes())]
    assert names == ["x" * 64, "x" * 61 + " #2", "x" * 61 + " #3"]


LS_NASTY = NASTY.replace("\x07", "�")


def test_labelstudio_images(exported: Exported, dataset: Path) -> None:
    out = exported["labelstudio"][0]
    config = ElementTree.parse(out / "image_config.xml").getroot()
    assert [label.get("value") for label in config.iter("Label")] == [LS_NASTY, *QUERIES[1:]]
    brush = {tag.get("name"): tag.get("toName") for tag in config.iter("BrushLabels")}
    found, frames = {}, 0
    for path in (out / "image_tasks").iterdir():
        for task in json.loads(path.read_bytes()):
            frames += 1
            prefix = "/data/local-files/?d="
            assert task["data"]["image"].startswith(prefix)
            assert (out / task["data"]["image"].removeprefix(prefix)).is_file()
            for region in task["predictions"][0]["result"]:
                assert (region["type"], brush[region["from_name"]]) == ("brushlabels", region["to_name"])
                (text,) = region["value"]["brushlabels"]
                key = (int(path.stem), task["data"]["frame_index"], NASTY if text == LS_NASTY else text)
                size = region["original_height"], region["original_width"]
                found[key] = read_brush_rle(region["value"]["rle"], *size)
    assert frames == 9
    assert_same(found, masks_of(dataset))


def test_labelstudio_by_its_own_libraries(exported: Exported, dataset: Path) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface.interface")
    out, wanted = exported["labelstudio"][0], masks_of(dataset)
    for kind in ("image", "video"):
        config = interface.LabelInterface((out / f"{kind}_config.xml").read_text(encoding="utf-8"))
        config.validate()
        for path in (out / f"{kind}_tasks").iterdir():
            for task in json.loads(path.read_bytes()):
                for prediction in task["predictions"]:
                    assert config.validate_prediction(prediction, return_errors=True) == []
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    for path in (out / "image_tasks").iterdir():
        for task in json.loads(path.read_bytes()):
            for region in task["predictions"][0]["result"]:
                (text,) = region["value"]["brushlabels"]
                mask = brush.decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)[..., 3]
                key = (int(path.stem), task["data"]["frame_index"], NASTY if text == LS_NASTY else text)
                np.testing.assert_array_equal(mask, wanted.pop(key) * 255)
    assert not wanted


def test_labelstudio_videos_hold_boxes_over_time(exported: Exported, dataset: Path) -> None:
    out, summary = exported["labelstudio"]
    assert "video 3 is a folder of images: it has image tasks and no video task" in summary.notes
    assert sorted(path.name for path in (out / "video_tasks").iterdir()) == ["000001.json", "000002.json"]
    config = ElementTree.parse(out / "video_config.xml").getroot()
    assert [tag.get("frameRate") for tag in config.iter("Video")] == ["$fps"]
    wanted = masks_of(dataset)
    for path in (out / "video_tasks").iterdir():
        (task,) = json.loads(path.read_bytes())
        folder = "a" if path.stem == "000001" else "b"
        assert task["data"]["fps"] == 30000 / 1001
        assert task["data"]["video"] == f"/data/local-files/?d={folder}/-clip%20%E8%B5%A4.mp4"
        for region in task["predictions"][0]["result"]:
            value = region["value"]
            (text,) = value["labels"]
            for keyframe in value["sequence"]:
                index = keyframe["frame"] - 1
                assert keyframe["time"] == pytest.approx(index * 1001 / 30000)
                mask = wanted.pop((int(path.stem), index, NASTY if text == LS_NASTY else text))
                rows, columns = np.nonzero(mask)
                assert keyframe["x"] == pytest.approx(100 * columns.min() / WIDTH)
                assert keyframe["y"] == pytest.approx(100 * rows.min() / HEIGHT)
                assert keyframe["width"] == pytest.approx(100 * (np.ptp(columns) + 1) / WIDTH)
                assert keyframe["height"] == pytest.approx(100 * (np.ptp(rows) + 1) / HEIGHT)
            assert [keyframe["enabled"] for keyframe in value["sequence"]][-2:] == [True, False]
            assert value["framesCount"] == value["sequence"][-1]["frame"]
    assert {video for video, *_ in wanted} == {3}


def test_labelstudio_ends_a_span_where_the_object_leaves(tmp_path: Path) -> None:
    masks = scene(5)[:, :1]
    masks[[0, 3]] = False
    video = write_video(tmp_path / "a.mp4", moving_square(5))
    dataset = write_dataset(tmp_path / "dataset", [Labelled("a.mp4", video, ("a",), masks)])
    export_dataset(dataset, "labelstudio", tmp_path / "out", ExportOptions(pictures=False))
    (task,) = json.loads((tmp_path / "out" / "video_tasks" / "000001.json").read_bytes())
    (region,) = task["predictions"][0]["result"]
    assert [(key["frame"], key["enabled"]) for key in region["value"]["sequence"]] == [
        (2, True),
        (3, False),
        (5, False),
    ]


def test_labelstudio_holds_a_box_to_the_next_frame_that_is_labelled(tmp_path: Path) -> None:
    masks = scene(5)[:, :1]
    masks[2] = False
    dataset = write_dataset(
        tmp_path / "dataset", [Labelled("a.mp4", tmp_path / "a.mp4", ("a",), masks)], every=3
    )
    export_dataset(dataset, "labelstudio", tmp_path / "out", ExportOptions(pictures=False))
    (task,) = json.loads((tmp_path / "out" / "video_tasks" / "000001.json").read_bytes())
    (region,) = task["predictions"][0]["result"]
    keys = region["value"]["sequence"]
    # Labelled are frames 0, 3, 6, 9 and 12; Label Studio counts from 1.
    assert [(key["frame"], key["enabled"]) for key in keys] == [
        (1, True),
        (4, True),
        (6, False),
        (10, True),
        (13, False),
    ]
    assert keys[2] == {**keys[1], "frame": 6, "time": pytest.approx(5 / 25), "enabled": False}


def test_labelstudio_addresses_lie_below_the_prefix(tmp_path: Path) -> None:
    video = Labelled("a b/c.mp4", tmp_path / "c.mp4", ("a", "b", "c"), scene(1))
    dataset = write_dataset(tmp_path / "dataset", [video])
    options = ExportOptions(pictures=False, prefix="/my videos/")
    export_dataset(dataset, "labelstudio", tmp_path / "out", options)
    for kind, key, path in (("image", "image", "images/000001_00000.jpg"), ("video", "video", "a%20b/c.mp4")):
        (task,) = json.loads((tmp_path / "out" / f"{kind}_tasks" / "000001.json").read_bytes())
        assert task["data"][key] == f"/data/local-files/?d=my%20videos/{path}"


def test_masks(exported: Exported, dataset: Path) -> None:
    out = exported["masks"][0]
    count = 0
    for video, frame, _, masks, _ in expected(dataset):
        for place, mask in enumerate(masks, 1):
            count += 1
            with Image.open(out / f"{video:06d}" / f"{place:03d}" / f"{frame:05d}.png") as picture:
                assert picture.mode == "L"
                np.testing.assert_array_equal(np.asarray(picture), mask * 255)
    assert count == len(list(out.rglob("*.png"))) == 20


def test_rgba_is_the_frame_inside_the_mask(exported: Exported, dataset: Path) -> None:
    out = exported["rgba"][0]
    source = dataset.parent / "input" / "b" / "-clip 赤.mp4"
    with open_frames(source) as frames:
        images = {frame.index: frame.image for frame in frames}
    wanted = {key: mask for key, mask in masks_of(dataset).items() if key[0] == 2}
    for (_, frame, text), mask in wanted.items():
        place = 1 if text == "the disk" else 2
        with Image.open(out / "000002" / f"{place:03d}" / f"{frame:05d}.png") as picture:
            assert picture.mode == "RGBA"
            pixels = np.asarray(picture)
        np.testing.assert_array_equal(pixels[..., 3], mask * 255)
        np.testing.assert_array_equal(pixels[mask][:, :3], images[frame][mask])
        assert not pixels[~mask].any()
    assert len(list(out.rglob("*.png"))) == len(masks_of(dataset))


def test_pictures_are_those_of_the_labelled_frames(exported: Exported, dataset: Path) -> None:
    source = dataset.parent / "input" / "b" / "-clip 赤.mp4"
    with open_frames(source, start_frame=2, stop_frame=5) as frames:
        wanted = {f"{frame.index:05d}.jpg": encode_jpeg(frame.image) for frame in frames}
    places = {
        "coco": "images/default/000002_",
        "ytvis": "train/JPEGImages/000002/000002_",
        "ytvos": "train/JPEGImages/000002/",
        "davis": "JPEGImages/480p/000002/",
        "yolo-seg": "images/train/000002_",
        "labelstudio": "images/000002_",
    }
    for name, place in places.items():
        out = exported[name][0]
        paths = {str(path.relative_to(out)): path for path in out.rglob("*.jpg")}
        found = {
            at.removeprefix(place): path.read_bytes() for at, path in paths.items() if at.startswith(place)
        }
        assert found == wanted
    assert all(first != second for first, second in pairwise(wanted.values()))
