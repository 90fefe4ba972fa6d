"""One face for SAM, HQ-SAM and SAM 2: look at an image once, then decode points on it in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from carvid.sam.load import LoadedSam


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """What the encoder made of one image.

    embeddings: keyword arguments of the model's forward. size: (H, W) of the image.
    input_size: (H', W') of the image as the model saw it, before padding.
    """

    embeddings: dict[str, Any]
    size: tuple[int, int]
    input_size: tuple[int, int]


class SamTower:
    """SAM: the longer side is resized to the model's input, the rest padded below and to the right."""

    def __init__(self, sam: LoadedSam) -> None:
        self._sam = sam
        self._model = sam.model
        # float32 could not tell the points of segment-anything's float64 grid to the last bit; MPS has no
        # float64.
        self._point_dtype = torch.float32 if sam.device.type == "mps" else torch.float64

    @property
    def device(self) -> torch.device:
        return self._sam.device

    @property
    def image_size(self) -> int:
        """Side of the model's square input, in px."""
        return self._sam.image_size

    def look(self, image: Tensor) -> ImageFeatures:
        """Encode one image (H, W, 3) uint8 RGB."""
        size = (image.shape[0], image.shape[1])
        input_size = self._input_size(*size)
        planes = self._planes(image, input_size)
        planes = F.pad(planes, (0, self.image_size - input_size[1], 0, self.image_size - input_size[0]))
        return ImageFeatures(self._encode(planes.to(self._sam.dtype)), size, input_size)

    def decode(self, features: ImageFeatures, points: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
        """Three masks for each point (P, 2), x and y in px of the image.

        Returns mask logits (P, 3, h, w) at the decoder's own size and predicted IoUs (P, 3), float32.
        """
        return self._decode(features, points[:, None], np.ones((len(points), 1), np.int32), several=True)

    def decode_together(
        self,
        features: ImageFeatures,
        points: NDArray[np.float64],
        inside: NDArray[np.bool_],
        *,
        several: bool,
    ) -> tuple[Tensor, Tensor]:
        """Masks for all of the points (P, 2) together, x and y in px of the image; inside: (P,), which they hold.

        Returns mask logits (M, h, w) and predicted IoUs (M,), float32: three with `several`, otherwise one.
        """
        logits, predicted = self._decode(
            features, points[None], inside[None].astype(np.int32), several=several
        )
        return logits[0], predicted[0]

    def _decode(
        self,
        features: ImageFeatures,
        points: NDArray[np.float64],
        labels: NDArray[np.int32],
        *,
        several: bool,
    ) -> tuple[Tensor, Tensor]:
        """For each of B prompts, points (B, P, 2) with labels (B, P): 1 inside, 0 outside."""
        scale = [features.input_size[1] / features.size[1], features.input_size[0] / features.size[0]]
        placed = torch.from_numpy(points * np.array(scale)).to(self.device, self._point_dtype)
        found = self._model(
            **features.embeddings,
            input_points=placed[None],  # (1, B, P, 2)
            input_labels=torch.from_numpy(labels)[None].to(self.device),
            multimask_output=several,
        )
        return found.pred_masks[0], found.iou_scores[0]

    def upscale(self, logits: Tensor, features: ImageFeatures) -> Tensor:
        """Logits (K, h, w) at the image's own size: (K, H, W) float32."""
        side = (self.image_size, self.image_size)
        planes = F.interpolate(logits[None], side, mode="bilinear", align_corners=False)
        planes = planes[..., : features.input_size[0], : features.input_size[1]]
        return F.interpolate(planes, features.size, mode="bilinear", align_corners=False)[0]

    def _planes(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """The image resized to `size` and normalised: (1, 3, H', W') float32."""
        # By PIL itself, as segment-anything does: torch's kernel is off by a grey level here and there, which
        # changes more than one pixel of a mask in a thousand.
        small = Image.fromarray(image.cpu().numpy()).resize(size[::-1], Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(small, np.float32)).to(self.device)  # (H', W', 3)
        mean = 255 * torch.tensor(self._sam.mean, dtype=torch.float64)
        std = 255 * torch.tensor(self._sam.std, dtype=torch.float64)
        pixels = (pixels - mean.float().to(self.device)) / std.float().to(self.device)
        return pixels.permute(2, 0, 1)[None].contiguous()

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        scale = self.image_size / max(height, width)
        return int(height * scale + 0.5), int(width * scale + 0.5)

    def _encode(self, planes: Tensor) -> dict[str, Any]:
        return {"image_embeddings": self._model.get_image_embeddings(planes).float()}


class HqTower(SamTower):
    """HQ-SAM, whose decoder also takes the output of the encoder's early layers."""

    def _encode(self, planes: Tensor) -> dict[str, Any]:
        last, early = self._model.get_image_embeddings(planes)
        return {"image_embeddings": last.float(), "intermediate_embeddings": [each.float() for each in early]}


class Sam2Tower(SamTower):
    """SAM 2's image model: the image is squashed to the model's square input."""

    def upscale(self, logits: Tensor, features: ImageFeatures) -> Tensor:
        """Logits (K, h, w) at the image's own size: (K, H, W) float32."""
        return F.interpolate(logits[None], features.size, mode="bilinear", align_corners=False)[0]

    def _input_size(self, height: int, width: int) -> tuple[int, int]:
        return self.image_size, self.image_size

    def _encode(self, planes: Tensor) -> dict[str, Any]:
        return {"image_embeddings": [each.float() for each in self._model.get_image_embeddings(planes)]}


def sam_tower(sam: LoadedSam) -> SamTower:
    """The tower for a loaded SAM."""
    return {"sam": SamTower, "sam_hq": HqTower, "sam2": Sam2Tower}[sam.kind](sam)
