"""COCO-Object: the 80 things of COCO and the background.

images/val2017/<image>.jpg
annotations/val2017/<image>_instanceTrainIds.png    labels 0 to 80, 255 is ignored
"""

from carvid.evaluate.semantic import SemanticBenchmark

COCO_OBJECT = SemanticBenchmark(
    name="coco-object",
    preset="coco",
    splits=("val", "train"),
    tops=("", "coco_object"),
    images="images/{split}2017",
    truth="annotations/{split}2017",
    listing=None,
    truth_suffix="_instanceTrainIds.png",
)
