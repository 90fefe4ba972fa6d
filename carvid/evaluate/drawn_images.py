"""Drawn images, for the embedded model `shapes`: 12 things and the background, drawn by `carvid.shapes.image_tree`.

images/<split>/<image>.jpg
labels/<split>/<image>.png                      labels 0 to 12
"""

from carvid.evaluate.contract import PAPER_NAMES
from carvid.evaluate.semantic import SemanticBenchmark

SHAPES = SemanticBenchmark(
    name="shapes",
    preset="shapes-classes",
    splits=("val",),
    tops=("",),
    images="images/{split}",
    truth="labels/{split}",
    listing=None,
    names=PAPER_NAMES,
)
