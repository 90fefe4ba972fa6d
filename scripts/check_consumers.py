"""Load exports with consumers that are too heavy for the tests: ultralytics and FiftyOne.

    python scripts/check_consumers.py ultralytics YOLO_EXPORT
    python scripts/check_consumers.py fiftyone COCO_EXPORT

Each needs an environment of its own, in which carvid need not be installed. Prints how many pictures and masks the
consumer found; compare them with what `carvid export` printed.
"""

from __future__ import annotations

import sys
from pathlib import Path


def ultralytics(out: Path) -> tuple[int, int]:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(out / "data.yaml"))
    labels = []
    for split in {data["train"], data["val"]}:
        labels += YOLODataset(img_path=split, data=data, task="segment", augment=False).labels
    return len(labels), sum(len(each["segments"]) for each in labels)


def fiftyone(out: Path) -> tuple[int, int]:
    import fiftyone

    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(out / "images" / "default"),
        labels_path=str(out / "annotations" / "instances_default.json"),
        label_types="segmentations",
        include_id=True,
    )
    field = next(name for name in dataset.get_field_schema() if name.startswith("segmentations"))
    found = [label for sample in dataset for label in (sample[field].detections if sample[field] else [])]
    assert all(label.mask is not None and label.track_id for label in found)
    return len(dataset), len(found)


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    pictures, masks = {"ultralytics": ultralytics, "fiftyone": fiftyone}[name](Path(folder))
    print(f"{name}: {pictures} pictures, {masks} masks")
