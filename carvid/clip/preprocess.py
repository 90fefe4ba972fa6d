"""CLIP's image preprocessing: resize, centre crop, scale, normalise; torch only, on any device.

Resizing is PIL's: antialiased, with the filter stretched by the scale, so that it agrees with how the weights
were trained. On the CPU uint8 images go through torch's own fixed-point kernel (the fastest by far);
everything else is two matrix products, which every device has and which only compute what the crop keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

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

    images: (B, H, W, 3) uint8, or (B, 3, H, W) floating point in [0, 255]; any device.
    Returns (B, 3, S_h, S_w) float32 on the same device, normalised.
    """
    if images.dtype == torch.uint8:
        images = images.permute(0, 3, 1, 2)
    height, width = images.shape[-2:]
    (resized_h, resized_w), (top, left) = _geometry(height, width, options)
    out_h, out_w = options.size
    if images.dtype == torch.uint8 and images.device.type == "cpu":
        resized = functional.interpolate(
            images, (resized_h, resized_w), mode=options.resample, antialias=True
        )
        pixels = resized[..., top : top + out_h, left : left + out_w].float()
    else:
        rows = _resize_matrix(height, resized_h, top, out_h, options.resample, images.device)  # (S_h, H)
        columns = _resize_matrix(width, resized_w, left, out_w, options.resample, images.device)  # (S_w, W)
        # Along rows, then columns, with whole grey levels after each, as PIL does.
        narrow = _grey_levels(images.float() @ columns.T)  # (B, 3, H, S_w)
        pixels = _grey_levels(rows @ narrow)  # (B, 3, S_h, S_w)
    mean = torch.tensor(options.mean, device=images.device).view(3, 1, 1) * 255
    std = torch.tensor(options.std, device=images.device).view(3, 1, 1) * 255
    return (pixels - mean) / std


def _grey_levels(values: Tensor) -> Tensor:
    """Round to 0..255, halves up; bicubic overshoots."""
    return (values + 0.5).floor_().clamp_(0, 255)


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


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # kept for later calls, which may be outside inference mode
def _resize_matrix(
    source: int, target: int, start: int, count: int, resample: str, device: torch.device
) -> Tensor:
    """Rows start .. start+count-1 of the (target, source) matrix that resizes a line of pixels; float32.

    PIL's coefficients: the kernel is centred on the target pixel and stretched by source/target when
    shrinking.
    """
    scale = source / target
    stretch = max(scale, 1.0)
    support = (2.0 if resample == "bicubic" else 1.0) * stretch
    centre = (torch.arange(start, start + count, dtype=torch.float64)[:, None] + 0.5) * scale  # (count, 1)
    first, last = (centre - support + 0.5).floor(), (centre + support + 0.5).floor()
    pixel = torch.arange(source, dtype=torch.float64)[None, :]  # (1, source)
    distance = (pixel - centre + 0.5).abs() / stretch
    weights = _cubic(distance) if resample == "bicubic" else (1 - distance).clamp_min(0)
    weights = torch.where((pixel >= first) & (pixel < last), weights, 0.0)
    return (weights / weights.sum(1, keepdim=True)).float().to(device)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5, PIL's choice, at distances x >= 0."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


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
