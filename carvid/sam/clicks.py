"""One mask at points that a person clicked, some inside of it and some outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from carvid.errors import UsageError
from carvid.sam.automatic import MASK_THRESHOLD
from carvid.sam.tower import SamTower


def mask_at(
    tower: SamTower, image: Tensor, points: Sequence[tuple[float, float, bool]]
) -> tuple[Tensor, float]:
    """The mask, (H, W) bool, of an image (H, W, 3) uint8 RGB, and SAM's own guess of its IoU.

    points: x and y in px, and whether the mask is to hold them. Of one point SAM makes three masks, of a part, a whole
    and more, and the best is taken; of several it makes one, as segment-anything advises.
    Raises UsageError without a point inside the mask, and for a point outside the image.
    """
    height, width = image.shape[:2]
    if not any(inside for _, _, inside in points):
        raise UsageError("no point lies inside the mask; click on the thing itself first")
    for x, y, _ in points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise UsageError(f"the point ({x:g}, {y:g}) lies outside the picture of {width}x{height} px")
    features = tower.look(image)
    places = np.array([(x, y) for x, y, _ in points], np.float64)
    inside = np.array([each for _, _, each in points], np.bool_)
    logits, predicted = tower.decode_together(features, places, inside, several=len(points) == 1)
    best = int(torch.argmax(predicted))
    return tower.upscale(logits[best : best + 1], features)[0] > MASK_THRESHOLD, float(predicted[best])
