"""Automatic masks against segment-anything's own class, and against a short twin that always runs."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
import types
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from carvid.errors import UsageError
from carvid.sam.automatic import AutomaticMaskGenerator, AutomaticMaskOptions, AutomaticMasks
from carvid.sam.load import LoadedSam, load_sam
from carvid.sam.names import resolve_sam
from carvid.sam.tower import sam_tower
from carvid.shapes.scenes import moving_clip
from tests.tiny_sam import CONFIG, HIDDEN, IMAGE_SIZE, PATCH, WIDTH, make_tiny_sam, original_state_dict

CPU = torch.device("cpu")

# Thresholds under which a random SAM keeps a few dozen masks.
LOOSE: dict[str, Any] = {
    "points_per_side": 10,
    "points_per_batch": 16,
    "stability_score_thresh": 0.6,
    "stability_score_offset": 0.1,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "crops": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "two layers of crops": {"crop_n_layers": 2, "points_per_side": 4, "crop_overlap_ratio": 0.2},
    "small regions": {"min_mask_region_area": 60},
    "crops, small regions": {"crop_n_layers": 1, "min_mask_region_area": 30, "points_per_side": 6},
    "no filter": {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "points_per_side": 5},
    "strict duplicates": {"box_nms_thresh": 0.2, "crop_nms_thresh": 0.3, "crop_n_layers": 1},
}


def scene(height: int, width: int, seed: int = 3) -> np.ndarray:
    return next(moving_clip(seed, 1, height, width)).image


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SAM in segment-anything's own file format."""
    folder = make_tiny_sam(tmp_path_factory.mktemp("sam"))
    path = folder / "sam_tiny.pth"
    torch.save(original_state_dict(load_file(folder / "model.safetensors")), path)
    return path


@pytest.fixture(scope="module")
def sam(checkpoint: Path) -> LoadedSam:
    return load_sam(resolve_sam(checkpoint), device=CPU, dtype=torch.float32, allow_pickle=True)


@pytest.fixture(scope="module")
def original(checkpoint: Path) -> Any:
    """segment-anything's generator with the same weights; stand-ins for torchvision where it is missing."""
    # Only while it is imported: others ask whether torchvision is there.
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("torchvision") is None:
            for name, content in _torchvision().items():
                patch.setitem(sys.modules, name, content)
        package = pytest.importorskip("segment_anything")
        modeling = importlib.import_module("segment_anything.modeling")
    grid = IMAGE_SIZE // PATCH
    model = modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            depth=2, embed_dim=WIDTH, img_size=IMAGE_SIZE, mlp_ratio=2, num_heads=2, patch_size=PATCH,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True, out_chans=HIDDEN,
            global_attn_indexes=CONFIG["vision_config"]["global_attn_indexes"],
            window_size=CONFIG["vision_config"]["window_size"],
        ),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=HIDDEN, image_embedding_size=(grid, grid),
            input_image_size=(IMAGE_SIZE, IMAGE_SIZE), mask_in_chans=8,
        ),
        mask_decoder=modeling.MaskDecoder(
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=HIDDEN, mlp_dim=48, num_heads=8),
            transformer_dim=HIDDEN, iou_head_hidden_dim=24,
        ),
    )  # fmt: skip
    model.load_state_dict(torch.load(checkpoint, weights_only=True), strict=True)
    return partial(package.SamAutomaticMaskGenerator, model.eval())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(120, 200), (161, 97)])
def test_same_masks_as_segment_anything(
    sam: LoadedSam, original: Any, variant: str, size: tuple[int, int]
) -> None:
    settings = {**LOOSE, **VARIANTS[variant]}
    image = scene(*size)
    expected = original(**settings).generate(image)
    found = generate(sam, image, settings)
    assert len(found) == len(expected) > 1
    for i, (mask, other) in enumerate(zip(found.masks.unpack().numpy(), expected, strict=True)):
        assert same(mask, other["segmentation"])
        x0, y0, x1, y1 = found.boxes[i]
        np.testing.assert_allclose([x0, y0, x1 - x0, y1 - y0], other["bbox"], atol=1)
        x0, y0, x1, y1 = found.crop_boxes[i]
        np.testing.assert_allclose([x0, y0, x1 - x0, y1 - y0], other["crop_box"])
        np.testing.assert_allclose(found.points[i], other["point_coords"][0])
        np.testing.assert_allclose(found.predicted_iou[i], other["predicted_iou"], rtol=1e-4)
        np.testing.assert_allclose(found.stability_score[i], other["stability_score"], atol=0.01)


def test_defaults_are_segment_anythings(original: Any) -> None:
    generator = original()
    for name, value in vars(AutomaticMaskOptions()).items():
        if name != "points_per_side":
            assert getattr(generator, name) == value
    assert len(generator.point_grids[0]) == AutomaticMaskOptions().points_per_side ** 2


@pytest.mark.parametrize("variant", ["plain", "crops", "no filter"])
def test_same_masks_as_the_twin(sam: LoadedSam, variant: str) -> None:
    settings = {**LOOSE, "points_per_side": 6, **VARIANTS[variant]}
    image = scene(120, 200)
    expected = twin(sam, image, AutomaticMaskOptions(**settings))
    found = generate(sam, image, settings)
    assert len(found) == len(expected) > 1
    for mask, (other, _, _) in zip(found.masks.unpack().numpy(), expected, strict=True):
        assert same(mask, other)


def test_batches_do_not_change_the_masks(sam: LoadedSam) -> None:
    image = scene(120, 200)
    one = generate(sam, image, {**LOOSE, "points_per_batch": 1})
    many = generate(sam, image, {**LOOSE, "points_per_batch": 1000})
    assert len(one) == len(many)
    np.testing.assert_array_equal(one.points, many.points)
    assert one.decoded_points == many.decoded_points == 100


def test_only_points_in_the_region_are_decoded(sam: LoadedSam) -> None:
    image = scene(120, 200)
    region = torch.zeros((120, 200), dtype=torch.bool)
    region[:60, 100:] = True
    found = generate(sam, image, LOOSE, region)
    assert (found.decoded_points, found.grid_points) == (25, 100)
    assert len(found) > 0
    assert (found.points[:, 0] >= 100).all()
    assert (found.points[:, 1] < 60).all()
    nothing = generate(sam, image, LOOSE, torch.zeros_like(region))
    assert (len(nothing), nothing.decoded_points) == (0, 0)
    assert nothing.masks.unpack().shape == (0, 120, 200)
    everything = generate(sam, image, LOOSE, torch.ones_like(region))
    assert torch.equal(everything.masks.bits, generate(sam, image, LOOSE).masks.bits)


def test_no_mask_is_no_error(sam: LoadedSam) -> None:
    strict = {"pred_iou_thresh": 1.0, "stability_score_thresh": 1.0, "stability_score_offset": 50.0}
    more = {"crop_n_layers": 1, "min_mask_region_area": 5}
    found = generate(sam, scene(40, 60), {**LOOSE, **strict, **more})
    assert found.masks.unpack().shape == (0, 40, 60)


def test_stages_are_timed_apart(sam: LoadedSam) -> None:
    generator = AutomaticMaskGenerator(sam_tower(sam), AutomaticMaskOptions(**LOOSE))
    generator.generate(torch.from_numpy(scene(40, 60)))
    assert set(generator.clock.seconds) == {"encoder", "decoder", "filter"}
    assert all(seconds > 0 for seconds in generator.clock.seconds.values())


@pytest.mark.parametrize(
    "options",
    [
        {"points_per_side": 0},
        {"points_per_batch": 0},
        {"pred_iou_thresh": 1.5},
        {"stability_score_offset": -1.0},
        {"crop_n_layers": -1},
        {"crop_overlap_ratio": 1.0},
        {"min_mask_region_area": -1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=f"{name} is .*expected"):
        AutomaticMaskOptions(**options)


def same(mask: np.ndarray, other: np.ndarray) -> bool:
    """IoU at least .999; of a mask below 1,000 px rounding may move one pixel."""
    union = np.count_nonzero(mask | other)
    return np.count_nonzero(mask ^ other) <= max(1, 0.001 * union)


def generate(
    sam: LoadedSam, image: np.ndarray, settings: dict[str, Any], region: torch.Tensor | None = None
) -> AutomaticMasks:
    generator = AutomaticMaskGenerator(sam_tower(sam), AutomaticMaskOptions(**settings))
    return generator.generate(torch.from_numpy(image), region)


def twin(sam: LoadedSam, image: np.ndarray, options: AutomaticMaskOptions) -> list[tuple[Any, float, Any]]:
    """(mask, score, box), point by point, every plane at full size, every pair of boxes compared."""
    height, width = image.shape[:2]
    windows = [(0, 0, width, height, 0)]
    for layer in range(1, options.crop_n_layers + 1):
        count = 2**layer
        overlap = int(options.crop_overlap_ratio * min(height, width) * 2 / count)
        crop_w = math.ceil((overlap * (count - 1) + width) / count)
        crop_h = math.ceil((overlap * (count - 1) + height) / count)
        windows += [
            (x, y, min(x + crop_w, width), min(y + crop_h, height), layer)
            for x in [(crop_w - overlap) * i for i in range(count)]
            for y in [(crop_h - overlap) * i for i in range(count)]
        ]
    everything = []
    for x0, y0, x1, y1, layer in windows:
        crop = image[y0:y1, x0:x1]
        per_side = options.points_per_side // options.crop_n_points_downscale_factor**layer
        found = []
        for row in range(per_side):
            for column in range(per_side):
                x, y = (column + 0.5) / per_side * (x1 - x0), (row + 0.5) / per_side * (y1 - y0)
                for plane, predicted in _ask(sam, crop, x, y):
                    high = (plane > options.stability_score_offset).sum()
                    low = (plane > -options.stability_score_offset).sum()
                    if options.pred_iou_thresh and not predicted > options.pred_iou_thresh:
                        continue
                    if options.stability_score_thresh and not (
                        low and high / low >= options.stability_score_thresh
                    ):
                        continue
                    mask = np.zeros((height, width), bool)
                    mask[y0:y1, x0:x1] = plane > 0
                    box = _box(plane > 0) + np.array([x0, y0, x0, y0])
                    sides = zip(box, (x0, y0, x1, y1), (0, 0, width, height), strict=True)
                    if not any(abs(side - at) <= 20 < abs(side - edge) for side, at, edge in sides):
                        found.append((mask, predicted, box, (x1 - x0) * (y1 - y0)))
        everything += _drop(found, [one[1] for one in found], options.box_nms_thresh)
    if len(windows) > 1:
        everything = _drop(everything, [1 / one[3] for one in everything], options.crop_nms_thresh)
    return [one[:3] for one in everything]


def _ask(sam: LoadedSam, crop: np.ndarray, x: float, y: float) -> Iterator[tuple[np.ndarray, float]]:
    height, width = crop.shape[:2]
    scale = IMAGE_SIZE / max(height, width)
    size = int(height * scale + 0.5), int(width * scale + 0.5)
    small = np.asarray(Image.fromarray(crop).resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
    planes = np.zeros((1, 3, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    planes[0, :, : size[0], : size[1]] = ((small - mean) / std).transpose(2, 0, 1)
    point = torch.tensor([[[[x * size[1] / width, y * size[0] / height]]]], dtype=torch.float64)
    with torch.no_grad():
        found = sam.model(pixel_values=torch.from_numpy(planes), input_points=point)
    logits = torch.nn.functional.interpolate(found.pred_masks[0], (IMAGE_SIZE,) * 2, mode="bilinear")
    logits = torch.nn.functional.interpolate(
        logits[..., : size[0], : size[1]], (height, width), mode="bilinear"
    )
    yield from zip(logits[0].numpy(), found.iou_scores[0, 0].tolist(), strict=True)


def _box(mask: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(mask)
    return np.array([xs.min(), ys.min(), xs.max(), ys.max()]) if len(xs) else np.zeros(4, int)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    inside = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).prod()
    total = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inside
    return inside / total if total else 0.0


def _drop(found: list[Any], scores: list[float], thresh: float) -> list[Any]:
    kept: list[Any] = []
    for i in sorted(range(len(found)), key=lambda i: -scores[i]):
        if all(_iou(found[i][2], other[2]) <= thresh for other in kept):
            kept.append(found[i])
    return kept


def _torchvision() -> dict[str, types.ModuleType]:
    """The four functions segment-anything takes from torchvision, for where that is not installed."""

    def batched_nms(
        boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float
    ) -> torch.Tensor:
        kept = _drop([(i, None, box.numpy()) for i, box in enumerate(boxes)], scores.tolist(), iou_threshold)
        return torch.tensor([one[0] for one in kept], dtype=torch.int64)

    def box_area(boxes: torch.Tensor) -> torch.Tensor:
        return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        return image.resize(size[::-1], Image.Resampling.BILINEAR)

    modules = {
        name: types.ModuleType(name)
        for name in ("torchvision", "torchvision.ops", "torchvision.ops.boxes", "torchvision.transforms",
                     "torchvision.transforms.functional")
    }  # fmt: skip
    boxes, functional = modules["torchvision.ops.boxes"], modules["torchvision.transforms.functional"]
    boxes.batched_nms, boxes.box_area = batched_nms, box_area  # type: ignore[attr-defined]
    functional.resize, functional.to_pil_image = resize, Image.fromarray  # type: ignore[attr-defined]
    return modules
