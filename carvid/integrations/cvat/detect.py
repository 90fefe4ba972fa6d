"""What CVAT calls a detection function: queries as labels, and their masks in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from carvid.errors import UsageError
from carvid.export.polygons import part_polygons
from carvid.integrations.other_package import needed
from carvid.integrations.phrases import split_queries
from carvid.recipe import load_recipe
from carvid.result import ObjectResult
from carvid.serve.lent_model import LentModel
from carvid.serve.segment import ImageSegmenter
from carvid.stream.image_file import to_rgb

if TYPE_CHECKING:
    import PIL.Image

PACKAGE = "cvat-sdk"

# CVAT's own limit.
_LONGEST_LABEL = 64
# Half a pixel: none would notice, and the outline has a tenth of its points.
_TOLERANCE_PX = 0.5


def create(queries: str, preset: str | None = None, **options: Any) -> DetectionFunction:
    """A detection function for `cvat-cli ... --function-module carvid.integrations.cvat`.

    queries: divided by `;`; each is the name of a label. preset, options: as for `carvid.load_recipe`, such as
    `model` and `device`.
    Raises UsageError for what cannot be used, and where cvat-sdk is not installed; WeightsError for weights that cannot
    be loaded.
    """
    needed("cvat_sdk.auto_annotation", PACKAGE)
    segmenter = ImageSegmenter(LentModel(load_recipe(preset, **options)))
    function = DetectionFunction(segmenter, split_queries(queries))
    # Before CVAT's frames are downloaded.
    segmenter.lent.get()
    return function


class DetectionFunction:
    """CVAT's `DetectionFunction`: one label of type mask for each query."""

    def __init__(self, segmenter: ImageSegmenter, queries: Sequence[str]) -> None:
        """Raises UsageError for a query that is too long for a label."""
        for query in queries:
            if len(query) > _LONGEST_LABEL:
                raise UsageError(
                    f"the query {query!r} is longer than {_LONGEST_LABEL} characters, the most CVAT takes for a label"
                )
        self._segmenter, self._queries = segmenter, tuple(queries)
        self._cvat = needed("cvat_sdk.auto_annotation", PACKAGE)
        self._encode = needed("cvat_sdk.masks", PACKAGE).encode_mask
        self.spec = self._cvat.DetectionFunctionSpec(
            labels=[self._cvat.label_spec(query, i, type="mask") for i, query in enumerate(self._queries)]
        )

    def detect(self, context: Any, image: PIL.Image.Image) -> list[Any]:
        """The masks in an image, or polygons where `context.conv_mask_to_poly` is set: one for each part of a mask.

        `context.conf_threshold` takes the place of the recipe's theta.
        """
        # As CVAT gives it: it has turned the image already.
        pixels = to_rgb(image, upright=False)
        least = context.conf_threshold
        result = self._segmenter.segment(pixels, self._queries, least)
        found = []
        for one in result.objects:
            if one.present and one.area_px and (least is None or one.score >= least):
                found += self._polygons(one) if context.conv_mask_to_poly else [self._mask(one)]
        return found

    def _mask(self, one: ObjectResult) -> Any:
        return self._cvat.mask(self._queries.index(one.query), self._encode(one.mask), score=one.score)

    def _polygons(self, one: ObjectResult) -> list[Any]:
        return [
            self._cvat.polygon(
                self._queries.index(one.query), np.ravel(points).tolist(), score=float(one.score)
            )
            for points in part_polygons(one.mask, _TOLERANCE_PX)
        ]
