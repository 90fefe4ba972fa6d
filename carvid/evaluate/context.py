"""PASCAL Context: 59 classes, things and stuff, and the background.

VOC2010/JPEGImages/<image>.jpg
VOC2010/SegmentationClassContext/<image>.png    labels 0 to 59, 0 is background
VOC2010/ImageSets/SegmentationContext/<split>.txt
"""

from carvid.evaluate.semantic import SemanticBenchmark

CONTEXT = SemanticBenchmark(
    name="context",
    preset="context",
    splits=("val", "train"),
    tops=("VOC2010", "VOCdevkit/VOC2010", ""),
    images="JPEGImages",
    truth="SegmentationClassContext",
    listing="ImageSets/SegmentationContext/{split}.txt",
    reduced=True,
)
