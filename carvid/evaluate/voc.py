"""PASCAL VOC 2012 segmentation: 20 classes and the background.

VOC2012/JPEGImages/<image>.jpg
VOC2012/SegmentationClass/<image>.png           labels 0 to 20, 255 is ignored
VOC2012/ImageSets/Segmentation/<split>.txt
"""

from carvid.evaluate.semantic import SemanticBenchmark

VOC = SemanticBenchmark(
    name="voc",
    preset="voc",
    splits=("val", "train", "trainval"),
    tops=("VOC2012", "VOCdevkit/VOC2012", ""),
    images="JPEGImages",
    truth="SegmentationClass",
    listing="ImageSets/Segmentation/{split}.txt",
)
