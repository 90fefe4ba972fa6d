"""PASCAL Context: 59 classes, things and stuff, and the background.

VOC2010/JPEGImages/<image>.jpg
VOC2010/SegmentationClassContext/<image>.png    labels 0 to 59, 0 is background
VOC2010/ImageSets/SegmentationContext/<split>.txt
"""

from carvid.evaluate.semantic import Pass, SemanticBenchmark, class_names

# The released code's own division, by its names; building, track and tree are things to it.
_STUFF = frozenset(
    ("bedclothes", "ceiling", "cloth", "curtain", "door", "fence", "floor", "grass", "ground", "light", "mountain",
     "platform", "road", "rock", "sidewalk", "sky", "snow", "wall", "water", "window", "wood")
)  # fmt: skip


def _passes() -> tuple[Pass, ...]:
    """Stuff, which meets the things as background, then things, which meet the usual background texts."""
    names = class_names("context", "released")
    stuff = tuple(label for label, name in enumerate(names, start=1) if name in _STUFF)
    things = tuple(label for label, name in enumerate(names, start=1) if name not in _STUFF)
    against = tuple(names[label - 1] for label in things)
    return (
        Pass("stuff", stuff, {"background": against, "background_groups": (), "prompts": ("blur", "gray")}),
        Pass("things", things, {"background_groups": (), "prompts": ("blur", "circle")}),
    )


CONTEXT = SemanticBenchmark(
    name="context",
    preset="context",
    splits=("val", "train"),
    tops=("VOC2010", "VOCdevkit/VOC2010", ""),
    images="JPEGImages",
    truth="SegmentationClassContext",
    listing="ImageSets/SegmentationContext/{split}.txt",
    reduced=True,
    passes=_passes(),
)
