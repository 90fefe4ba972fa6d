"""The operations that `carvid bench` counts from shapes, beside those a profiler counts, on a small random CLIP."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from carvid.bench import operations
from carvid.car.gradcam import cam_weights
from carvid.car.proposals import look
from carvid.clip.load import LoadedClip, load_clip
from carvid.clip.names import resolve_spec
from tests.tiny_clip import make_tiny_clip

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> LoadedClip:
    model = make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, layers=4, logit_scale=8.0)
    return load_clip(resolve_spec(str(model), "proposer"), role="proposer", device=CPU, dtype=torch.float32)


def counted(function, *arguments) -> int:
    # The counter knows attention spelt out, not the CPU's fused kernel; their products are the same.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        function(*arguments)
    return counter.get_total_flops()


@pytest.mark.parametrize("size", [(32, 32), (48, 64)])
def test_trunk_operations_are_those_a_profiler_counts(clip: LoadedClip, size: tuple[int, int]) -> None:
    shape = operations.tower_shape(clip.tower, *size)
    assert operations.trunk_operations(shape) == counted(look, clip.tower, torch.rand(1, 3, *size))


def test_a_frame_is_stretched_up_to_whole_patches(clip: LoadedClip) -> None:
    assert operations.tower_shape(clip.tower, 45, 70).patches == 6 * 9


@pytest.mark.parametrize("texts", [1, 4])
def test_cam_operations_are_those_a_profiler_counts(clip: LoadedClip, texts: int) -> None:
    shape = operations.tower_shape(clip.tower, 48, 64)
    with torch.no_grad():
        state = look(clip.tower, torch.rand(1, 3, 48, 64)).state
    found = counted(cam_weights, clip.tower, state, torch.rand(texts, shape.projection))
    attention_again = 2 * shape.patches * shape.tokens * shape.width
    assert operations.cam_operations(shape, texts) == found - attention_again


@pytest.mark.parametrize("images", [1, 5])
def test_classifier_operations_are_those_a_profiler_counts(clip: LoadedClip, images: int) -> None:
    shape = operations.tower_shape(clip.tower, 32, 32)
    found = counted(clip.tower.embed, torch.rand(images, 3, 32, 32))
    assert operations.classifier_operations(shape, images) == found


def test_the_real_architectures_cost_what_is_known_of_them() -> None:
    """ViT-B/16 on 854x480 about 0.38 TFLOP, ViT-L/14 on 224x224 about 0.16, each direction of f 0.02."""
    b16 = operations.TowerShape(768, 3072, 12, 12, 16, 512, 54 * 30)
    l14 = operations.TowerShape(1024, 4096, 16, 24, 14, 768, 16 * 16)
    assert operations.trunk_operations(b16) == pytest.approx(0.38e12, rel=0.05)
    assert operations.classifier_operations(l14, 1) == pytest.approx(0.16e12, rel=0.05)
    each = operations.cam_operations(b16, 2) - operations.cam_operations(b16, 1)
    assert each == pytest.approx(0.014e12, rel=0.1)
