"""The ensemble end to end: stand-ins for SAM on generated clips, and a small random SAM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from carvid.errors import UsageError
from carvid.evidence import SamRecord
from carvid.measures.pair import boundary_f, iou
from carvid.media.packed import PackedMasks
from carvid.sam.automatic import AutomaticMaskOptions, AutomaticMasks
from carvid.sam.ensemble import SamEnsemble, SamOptions, mean_agreement
from carvid.sam.load import load_sam
from carvid.sam.names import resolve_sam
from carvid.shapes.scenes import Scene, moving_clip
from carvid.stopwatch import Stopwatch
from tests.tiny_sam import make_tiny_sam


class Standin:
    """Gives the segments it was told to; remembers what it was asked."""

    def __init__(self) -> None:
        self.clock = Stopwatch(torch.device("cpu"))
        self.segments = np.zeros((0, 1, 1), bool)
        self.regions: list[torch.Tensor | None] = []

    def generate(self, image: torch.Tensor, region: torch.Tensor | None = None) -> AutomaticMasks:
        self.regions.append(region)
        count = len(self.segments)
        return AutomaticMasks(
            masks=PackedMasks.pack(torch.from_numpy(self.segments)),
            boxes=np.zeros((count, 4), np.int64),
            predicted_iou=np.ones(count, np.float32),
            stability_score=np.ones(count, np.float32),
            points=np.zeros((count, 2)),
            crop_boxes=np.zeros((count, 4), np.int64),
            decoded_points=100 if region is None else 10,
            grid_points=100,
        )


def perturbed(scene: Scene, rng: np.random.Generator) -> torch.Tensor:
    """The true masks as a CRF might draw them: grown or shrunk at random along their outlines."""
    height, width = scene.masks.shape[1:]
    out = []
    for mask in scene.masks:
        inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
        outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
        shift = cv2.resize(rng.normal(0, 2.5, (height // 8, width // 8)), (width, height))
        out.append(inside - outside + shift > 0)
    return torch.from_numpy(np.stack(out))


def quality(masks: torch.Tensor, truth: np.ndarray) -> tuple[float, float]:
    pairs = list(zip(masks.numpy(), truth, strict=True))
    return (
        float(np.mean([iou(mask, true) for mask, true in pairs])),
        float(np.mean([boundary_f(mask, true) for mask, true in pairs])),
    )


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_segments_that_are_the_objects_raise_j_and_f(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = Standin()
    refiner = SamEnsemble(source)
    for scene in moving_clip(seed, 3, 120, 200):
        source.segments = np.concatenate([scene.masks, ~scene.masks.any(0, keepdims=True)])
        before = perturbed(scene, rng)
        result = refiner.refine(torch.from_numpy(scene.image), before)
        (j_before, f_before), (j, f) = quality(before, scene.masks), quality(result.masks, scene.masks)
        assert j > j_before
        assert f > f_before
        assert j == 1.0
        assert result.records is not None
        assert all(record.replaced and record.matched == 1 for record in result.records)
        assert [record.iou for record in result.records] == pytest.approx(
            [iou(mask, true) for mask, true in zip(before.numpy(), scene.masks, strict=True)]
        )


@pytest.mark.parametrize("kind", ["noise", "rectangles", "none", "whole frame"])
def test_segments_that_are_nonsense_leave_the_masks_untouched(kind: str) -> None:
    rng = np.random.default_rng(0)
    source = Standin()
    refiner = SamEnsemble(source)
    for scene in moving_clip(4, 3, 120, 200):
        size = scene.masks.shape[1:]
        if kind == "noise":
            source.segments = rng.random((40, *size)) < 0.5
        elif kind == "rectangles":
            # Each has at most half of an object in it, and as much beside it.
            source.segments = np.stack([np.roll(mask, 3 + int(mask.any(0).sum()), 1) for mask in scene.masks])
        elif kind == "whole frame":
            source.segments = np.ones((1, *size), bool)
        else:
            source.segments = np.zeros((0, *size), bool)
        before = perturbed(scene, rng)
        result = refiner.refine(torch.from_numpy(scene.image), before)
        assert torch.equal(result.masks, before)
        assert result.records is not None
        assert not any(record.replaced for record in result.records)


def test_only_every_kth_frame_is_refined() -> None:
    source = Standin()
    source.segments = np.ones((1, 4, 4), bool)
    refiner = SamEnsemble(source, SamOptions(every=3))
    image, masks = torch.zeros((4, 4, 3), dtype=torch.uint8), torch.ones((1, 4, 4), dtype=torch.bool)
    ran = [refiner.refine(image, masks).records is not None for _ in range(7)]
    assert ran == [True, False, False, True, False, False, True]
    assert len(source.regions) == 3
    assert refiner.totals == {
        "frames": 3,
        "segments": 3,
        "decoded_points": 300,
        "grid_points": 300,
        "agreement": None,
    }


def test_a_frame_without_a_mask_costs_nothing() -> None:
    source = Standin()
    refiner = SamEnsemble(source)
    empty = torch.zeros((2, 4, 4), dtype=torch.bool)
    result = refiner.refine(torch.zeros((4, 4, 3), dtype=torch.uint8), empty)
    assert torch.equal(result.masks, empty)
    assert result.records == (SamRecord(), SamRecord())
    assert source.regions == []


def test_guided_asks_near_the_masks_and_compares_the_first_frame_with_the_full_grid() -> None:
    source = Standin()
    source.segments = np.zeros((0, 40, 100), bool)
    refiner = SamEnsemble(source, SamOptions(points="guided", margin=0.05))
    image, masks = torch.zeros((40, 100, 3), dtype=torch.uint8), torch.zeros((2, 40, 100), dtype=torch.bool)
    masks[0, 10:20, 30:40] = masks[1, 30, 90] = True
    first, second = refiner.refine(image, masks), refiner.refine(image, masks)
    assert [region is None for region in source.regions] == [False, True, False]
    region = source.regions[0]
    assert region is not None
    expected = torch.zeros((40, 100), dtype=torch.bool)
    expected[5:25, 25:45] = expected[25:36, 85:96] = True  # 5 px: a twentieth of the longer side
    assert torch.equal(region, expected)
    assert (first.agreement, second.agreement) == (1.0, None)
    assert (first.decoded_points, first.grid_points) == (10, 100)
    assert refiner.totals == {
        "frames": 2,
        "segments": 0,
        "decoded_points": 20,
        "grid_points": 200,
        "agreement": 1.0,
    }


def test_agreement_is_the_mean_iou() -> None:
    a = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], dtype=torch.bool)
    b = torch.tensor([[[0, 1, 0, 0]], [[0, 0, 0, 0]]], dtype=torch.bool)
    assert mean_agreement(a, b) == 0.75


def test_a_random_sam_runs_full_and_guided(tmp_path: Path) -> None:
    folder = make_tiny_sam(tmp_path / "sam")
    sam = load_sam(resolve_sam(folder), device=torch.device("cpu"), dtype=torch.float32)
    automatic = AutomaticMaskOptions(
        points_per_side=8, stability_score_thresh=0.5, stability_score_offset=0.1, pred_iou_thresh=0.5
    )
    scene = next(moving_clip(3, 1, 120, 200))
    image, masks = torch.from_numpy(scene.image), torch.from_numpy(scene.masks)
    full = SamEnsemble.from_loaded(sam, SamOptions(automatic=automatic))
    guided = SamEnsemble.from_loaded(sam, SamOptions(points="guided", automatic=automatic))
    one, two = full.refine(image, masks), guided.refine(image, masks)
    assert one.decoded_points == one.grid_points == two.grid_points == 64
    assert 0 < two.decoded_points < 64
    assert two.agreement is not None
    assert 0 <= two.agreement <= 1
    assert one.masks.shape == two.masks.shape == masks.shape
    assert set(full.seconds) == {"encoder", "decoder", "filter", "match"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": "some"}, "sam_points is 'some'; expected one of full, guided"),
        ({"every": 0}, "sam_every is 0; expected a whole number from 1"),
        ({"margin": -0.1}, "margin is -0.1"),
        ({"phi_iom": 1.1}, "phi_iom is 1.1"),
        ({"phi_iou": 2}, "phi_iou is 2"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SamOptions(**options)
