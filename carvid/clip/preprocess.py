"""CLIP's image preprocessing: resize (`carvid.clip.resize`), centre crop, scale, normalise; on any device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carvid.clip.resize import resize
from carvid.errors import WeightsError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

# PIL's numbers for its filters, as preprocessor_config.json uses them.
_PIL_FILTERS = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class PreprocessOptions:
    """What preprocessor_config.json says, checked.

    size: (height, width) of the model's input, in pixels.
    shortest_edge: the shorter side after resizing, before the centre crop to `size`; None squashes the image
        to `size` and crops nothing.
    mean, std: per channel (RGB), for images scaled to [0, 1].
    resample: "bicubic" or "bilinear".
    """

    size: tuple[int, int] = (224, 224)
    shortest_edge: int | None = 224
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    resample: str = "bicubic"

    @classmethod
    def for_image_size(cls, image_size: int) -> PreprocessOptions:
        """CLIP's own preprocessing for a square input of `image_size` pixels."""
        return cls(size=(image_size, image_size), shortest_edge=image_size)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, image_size: int, where: str) -> PreprocessOptions:
        """Read a preprocessor_config.json; what it leaves out is CLIP's own, at `image_size`.

        Raises WeightsError for what this preprocessing does not do.
        """
        for switch in ("do_resize", "do_rescale"):
            if config.get(switch, True) is not True:
                raise WeightsError(f"{where}: {switch} is {config[switch]!r}, expected true")
        if abs(float(config.get("rescale_factor", 1 / 255)) * 255 - 1) > 1e-6:
            raise WeightsError(f"{where}: rescale_factor is {config['rescale_factor']!r}, expected 1/255")
        if (number := config.get("resample", 3)) not in _PIL_FILTERS:
            raise WeightsError(f"{where}: resample is {number!r}, expected 3 (bicubic) or 2 (bilinear)")
        shortest_edge, size = _resize_target(config.get("size", image_size), where)
        if config.get("do_center_crop", True):
            crop = config.get("crop_size", image_size)
            crop_size = (crop, crop) if isinstance(crop, int) else _height_width(crop, "crop_size", where)
            if max(crop_size) > (shortest_edge if shortest_edge is not None else min(size)):
                raise WeightsError(f"{where}: crop_size {crop!r} is larger than size {config.get('size')!r}")
            if shortest_edge is None and crop_size != size:
                raise WeightsError(
                    f"{where}: crop_size {crop!r} of an exact size {size}: expected them to be equal"
                )
            size = crop_size
        elif shortest_edge is not None:
            raise WeightsError(
                f"{where}: do_center_crop is false with a shortest edge of {shortest_edge}: expected "
                'size {"height": ..., "width": ...}, since the model needs one input size'
            )
        normalise = bool(config.get("do_normalize", True))
        return cls(
            size=size,
            shortest_edge=shortest_edge,
            mean=_triple(config.get("image_mean", CLIP_MEAN), "image_mean", where)
            if normalise
            else (0.0, 0.0, 0.0),
            std=_triple(config.get("image_std", CLIP_STD), "image_std", where)
            if normalise
            else (1.0, 1.0, 1.0),
            resample=_PIL_FILTERS[number],
        )


def preprocess(images: Tensor, options: PreprocessOptions) -> Tensor:
    """CLIP's preprocessing of a batch of RGB images of one size.

    images: (B, H, W, 3) uint8; any device.
    Returns (B, 3, S_h, S_w) float32 on the same device, normalised.
    """
    size, corner = _geometry(images.shape[1], images.shape[2], options)
    pixels = resize(images, size, options.resample, corner, options.size)
    mean = torch.tensor(options.mean, device=images.device).view(3, 1, 1) * 255
    std = torch.tensor(options.std, device=images.device).view(3, 1, 1) * 255
    return (pixels - mean) / std


def _geometry(height: int, width: int, options: PreprocessOptions) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size after resizing, and the crop's top left corner in it."""
    if options.shortest_edge is None:
        return options.size, (0, 0)
    edge, short = options.shortest_edge, min(height, width)
    # The longer side is cut to whole pixels and the crop's corner rounded half to even, as in OpenAI's CLIP.
    resized_h, resized_w = int(edge * height / short), int(edge * width / short)
    return (resized_h, resized_w), (
        round((resized_h - options.size[0]) / 2),
        round((resized_w - options.size[1]) / 2),
    )


def _resize_target(size: Any, where: str) -> tuple[int | None, tuple[int, int]]:
    # A plain number is the shorter side: what old CLIP configurations say.
    if isinstance(size, Mapping) and "shortest_edge" in size:
        size = size["shortest_edge"]
    if isinstance(size, int):
        if size < 1:
            raise WeightsError(f"{where}: size is {size}, expected at least 1")
        return size, (size, size)
    return None, _height_width(size, "size", where)


def _height_width(size: Any, name: str, where: str) -> tuple[int, int]:
    if isinstance(size, Mapping):
        height, width = size.get("height"), size.get("width")
        if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
            return height, width
    raise WeightsError(
        f'{where}: {name} is {size!r}, expected a number of pixels or {{"height": ..., "width": ...}}'
    )


def _triple(values: Any, name: str, where: str) -> tuple[float, float, float]:
    if (
        isinstance(values, (list, tuple))
        and len(values) == 3
        and all(isinstance(v, (int, float)) for v in values)
    ):
        return float(values[0]), float(values[1]), float(values[2])
    raise WeightsError(f"{where}: {name} is {values!r}, expected three numbers")
