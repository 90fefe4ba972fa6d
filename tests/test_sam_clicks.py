"""One mask at clicked points, against transformers' own SAM called directly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carvid.errors import UsageError
from carvid.sam.clicks import mask_at
from carvid.sam.load import load_sam
from carvid.sam.names import resolve_sam
from carvid.sam.tower import SamTower, sam_tower
from carvid.shapes.scenes import moving_clip
from tests.tiny_sam import make_tiny_hq_sam, make_tiny_sam, make_tiny_sam2

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=[make_tiny_sam, make_tiny_hq_sam, make_tiny_sam2])
def tower(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SamTower:
    folder = request.param(tmp_path_factory.mktemp("sam"))
    return sam_tower(load_sam(resolve_sam(str(folder)), device=CPU, dtype=torch.float32))


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.from_numpy(next(moving_clip(3, 1, 60, 90)).image)


@torch.inference_mode()
def test_one_point_gives_the_best_of_three_masks(tower: SamTower, image: torch.Tensor) -> None:
    mask, score = mask_at(tower, image, [(40.0, 30.0, True)])
    features = tower.look(image)
    logits, predicted = tower.decode(features, np.array([[40.0, 30.0]]))
    assert predicted.shape == (1, 3)
    best = int(predicted[0].argmax())
    assert score == pytest.approx(float(predicted[0, best]))
    assert torch.equal(mask, tower.upscale(logits[0, best : best + 1], features)[0] > 0)
    assert mask.shape == (60, 90)


@torch.inference_mode()
def test_several_points_are_one_prompt(tower: SamTower, image: torch.Tensor) -> None:
    points = [(40.0, 30.0, True), (10.0, 50.0, False), (44.0, 20.0, True)]
    mask, score = mask_at(tower, image, points)
    features = tower.look(image)
    height, width = features.input_size
    placed = torch.tensor([[[[x * width / 90, y * height / 60] for x, y, _ in points]]], dtype=torch.float64)
    found = tower._model(
        **features.embeddings,
        input_points=placed,
        input_labels=torch.tensor([[[1, 0, 1]]], dtype=torch.int),
        multimask_output=False,
    )
    assert found.pred_masks.shape[:3] == (1, 1, 1)
    assert torch.equal(mask, tower.upscale(found.pred_masks[0, 0], features)[0] > 0)
    assert score == pytest.approx(float(found.iou_scores[0, 0, 0]))
    # Which of them are inside makes a difference.
    _, other = mask_at(tower, image, [(x, y, True) for x, y, _ in points])
    assert other != score


def test_points_that_cannot_be_asked(tower: SamTower, image: torch.Tensor) -> None:
    with pytest.raises(UsageError, match="no point lies inside the mask"):
        mask_at(tower, image, [(3.0, 4.0, False)])
    with pytest.raises(UsageError, match=r"the point \(3, 61\) lies outside the picture of 90x60 px"):
        mask_at(tower, image, [(3.0, 61.0, True)])
