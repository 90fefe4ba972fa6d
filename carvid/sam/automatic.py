"""Automatic masks: everything SAM finds in an image without a prompt, by a grid of points.

The steps, names and defaults are those of segment-anything's SamAutomaticMaskGenerator, and so are the masks
and their order; what differs is what is kept. Masks that the predicted IoU rejects are never brought to the
image's size, and the others only a few at a time; what stays is packed, one bit per pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from carvid.media.packed import PackedMasks
from carvid.recipe.refinement import AutomaticMaskOptions
from carvid.sam.grid import Crop, crops, layer_grids, points_in
from carvid.sam.regions import clean
from carvid.sam.suppression import cut_off, mask_boxes, suppress
from carvid.sam.tower import ImageFeatures, SamTower
from carvid.stopwatch import Stopwatch

# Logits above it are mask. Every SAM is trained with 0.
MASK_THRESHOLD = 0.0

# Pixels of the model's square input brought to full size at a time: 16 masks at 1024 px, 64 MB.
_UPSCALED_PX = 1 << 24


@dataclass(frozen=True, eq=False)
class AutomaticMasks:
    """M masks of one image, best first.

    masks: packed, (H, W) each. boxes: (M, 4) int64, x0, y0, x1, y1 of the first and last pixel.
    predicted_iou, stability_score: (M,) float32. points: (M, 2) float64, x and y of the point asked, in px.
    crop_boxes: (M, 4) int64, x0, y0, x1, y1 of the crop the mask was found in.
    decoded_points: how many points the decoder was asked; grid_points: how many the whole grid has.
    """

    masks: PackedMasks
    boxes: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    points: NDArray[np.float64]
    crop_boxes: NDArray[np.int64]
    decoded_points: int = 0
    grid_points: int = 0

    def __len__(self) -> int:
        return len(self.masks)

    def select(self, index: NDArray[np.int64]) -> AutomaticMasks:
        """The masks at `index`, in that order."""
        return AutomaticMasks(
            masks=self.masks.select(torch.from_numpy(index)),
            boxes=self.boxes[index],
            predicted_iou=self.predicted_iou[index],
            stability_score=self.stability_score[index],
            points=self.points[index],
            crop_boxes=self.crop_boxes[index],
            decoded_points=self.decoded_points,
            grid_points=self.grid_points,
        )


@dataclass
class _Found:
    """Masks as they come, before any is dropped for another."""

    parts: list[AutomaticMasks] = field(default_factory=list)
    decoded_points: int = 0
    grid_points: int = 0

    def joined(self, size: tuple[int, int], device: torch.device) -> AutomaticMasks:
        none = AutomaticMasks(
            masks=PackedMasks.join([], size, device),
            boxes=np.zeros((0, 4), np.int64),
            predicted_iou=np.zeros(0, np.float32),
            stability_score=np.zeros(0, np.float32),
            points=np.zeros((0, 2)),
            crop_boxes=np.zeros((0, 4), np.int64),
        )
        parts = [none, *self.parts]
        return AutomaticMasks(
            masks=PackedMasks.join([part.masks for part in parts], size, device),
            boxes=np.concatenate([part.boxes for part in parts]),
            predicted_iou=np.concatenate([part.predicted_iou for part in parts]),
            stability_score=np.concatenate([part.stability_score for part in parts]),
            points=np.concatenate([part.points for part in parts]),
            crop_boxes=np.concatenate([part.crop_boxes for part in parts]),
            decoded_points=self.decoded_points,
            grid_points=self.grid_points,
        )


class AutomaticMaskGenerator:
    """Automatic masks of images, one after the other; nothing is kept from image to image but the clock.

    clock.seconds: time spent so far in `encoder`, `decoder` and `filter`.
    """

    def __init__(self, tower: SamTower, options: AutomaticMaskOptions | None = None) -> None:
        self.options = options or AutomaticMaskOptions()
        self.clock = Stopwatch(tower.device)
        self._tower = tower
        options = self.options
        self._grids = layer_grids(
            options.points_per_side, options.crop_n_layers, options.crop_n_points_downscale_factor
        )

    @torch.inference_mode()
    def generate(self, image: Tensor, region: Tensor | None = None) -> AutomaticMasks:
        """All masks of an image (H, W, 3) uint8 RGB.

        region: (H, W) bool; only the grid's points in it are decoded. None decodes them all.
        """
        options = self.options
        height, width = image.shape[:2]
        wanted = None if region is None else region.cpu().numpy()
        parts = crops(height, width, options.crop_n_layers, options.crop_overlap_ratio)
        found = _Found()
        for crop in parts:
            one = self._look_at(image, crop, wanted)
            found.decoded_points += one.decoded_points
            found.grid_points += one.grid_points
            masks = one.joined((height, width), self._tower.device)
            with self.clock.stage("filter"):
                keep = suppress(masks.boxes - _corner(crop), masks.predicted_iou, options.box_nms_thresh)
                found.parts.append(masks.select(keep))
        masks = found.joined((height, width), self._tower.device)
        with self.clock.stage("filter"):
            if len(parts) > 1:
                sides = masks.crop_boxes[:, 2:] - masks.crop_boxes[:, :2]
                # Smaller crops first
                scores = (1 / sides.prod(axis=1).astype(np.float32)).astype(np.float32)
                masks = masks.select(suppress(masks.boxes, scores, options.crop_nms_thresh))
            return self._cleaned(masks) if options.min_mask_region_area else masks

    def _look_at(self, image: Tensor, crop: Crop, wanted: NDArray[np.bool_] | None) -> _Found:
        """The masks of one crop, before duplicates are dropped."""
        size, (height, width) = (image.shape[0], image.shape[1]), crop.size
        points = self._grids[crop.layer] * np.array([width, height])
        found = _Found(grid_points=len(points))
        if wanted is not None:
            points = points[points_in(points, wanted[crop.y0 : crop.y1, crop.x0 : crop.x1])]
        found.decoded_points = len(points)
        if len(points) == 0:
            return found
        with self.clock.stage("encoder"):
            features = self._tower.look(image[crop.y0 : crop.y1, crop.x0 : crop.x1])
        batch = self.options.points_per_batch
        for start in range(0, len(points), batch):
            asked = points[start : start + batch]
            with self.clock.stage("decoder"):
                logits, predicted = self._tower.decode(features, asked)
            with self.clock.stage("filter"):
                found.parts += self._filter(logits, predicted, asked, features, crop, size)
        return found

    def _filter(
        self,
        logits: Tensor,
        predicted: Tensor,
        points: NDArray[np.float64],
        features: ImageFeatures,
        crop: Crop,
        size: tuple[int, int],
    ) -> list[AutomaticMasks]:
        """The masks of one batch that are sure, stable and not cut off, packed in the whole frame."""
        options = self.options
        points = np.repeat(points, logits.shape[1], axis=0)
        logits, predicted = logits.flatten(0, 1), predicted.flatten(0, 1)
        if options.pred_iou_thresh > 0:
            sure = (predicted > options.pred_iou_thresh).nonzero()[:, 0]
            logits, predicted, points = logits[sure], predicted[sure], points[sure.cpu().numpy()]
        few = max(1, _UPSCALED_PX // self._tower.image_size**2)
        parts = []
        for start in range(0, len(logits), few):
            planes = self._tower.upscale(logits[start : start + few], features)
            stability = _stability(planes, options.stability_score_offset)
            masks = planes > MASK_THRESHOLD
            boxes = mask_boxes(masks).cpu().numpy() + _corner(crop)
            keep = ~cut_off(boxes, crop.box, *size)
            if options.stability_score_thresh > 0:
                keep &= (stability >= options.stability_score_thresh).cpu().numpy()
            index = np.flatnonzero(keep)
            rows = torch.from_numpy(index).to(masks.device)
            whole = torch.zeros((len(index), *size), dtype=torch.bool, device=masks.device)
            whole[:, crop.y0 : crop.y1, crop.x0 : crop.x1] = masks[rows]
            parts.append(
                AutomaticMasks(
                    masks=PackedMasks.pack(whole),
                    boxes=boxes[index],
                    predicted_iou=predicted[start : start + few].cpu().numpy()[index],
                    stability_score=stability.cpu().numpy()[index],
                    points=points[start : start + few][index] + _corner(crop)[:2],
                    crop_boxes=np.tile(np.array(crop.box, np.int64), (len(index), 1)),
                )
            )
        return parts

    def _cleaned(self, masks: AutomaticMasks) -> AutomaticMasks:
        options = self.options
        thresh = max(options.box_nms_thresh, options.crop_nms_thresh)
        packed, boxes, kept = clean(masks.masks, masks.boxes, options.min_mask_region_area, thresh)
        rest = masks.select(kept)
        return AutomaticMasks(
            packed, boxes, rest.predicted_iou, rest.stability_score, rest.points, rest.crop_boxes,
            masks.decoded_points, masks.grid_points,
        )  # fmt: skip


def _corner(crop: Crop) -> NDArray[np.int64]:
    return np.array([crop.x0, crop.y0, crop.x0, crop.y0], np.int64)


def _stability(planes: Tensor, offset: float) -> Tensor:
    """IoU of each mask (K, H, W) cut `offset` higher and lower; NaN where both are empty."""
    # One always contains the other, so the areas are the intersection and the union.
    high = (planes > MASK_THRESHOLD + offset).sum((1, 2))
    low = (planes > MASK_THRESHOLD - offset).sum((1, 2))
    return high / low
