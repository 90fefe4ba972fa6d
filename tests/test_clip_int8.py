"""Linear layers in int8, against the same by whole numbers and against float32; and where they are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from carvid.clip.int8 import Int8Block, int8_block, int8_linear, whole_rows
from carvid.clip.vision import Block, Norm
from carvid.errors import UsageError
from carvid.recipe import load_recipe
from carvid.segmenter import VideoSegmenter
from carvid.shapes.scenes import moving_clip
from carvid.weights.device import resolve_dtype
from tests.media import moving_square, write_video

# What the masks of the drawn frames reach is said in docs/performance.md.
LEAST_IOU = 0.9


@pytest.fixture
def processor() -> None:
    """Skips the test where int8 is refused."""
    try:
        resolve_dtype("int8", torch.device("cpu"))
    except UsageError as error:
        pytest.skip(str(error))


def test_each_row_has_a_scale_of_its_own() -> None:
    whole, scale = whole_rows(torch.tensor([[1.27, -0.635, 0.004], [0, 0, 0], [-254, 3, 1]]))
    assert whole.tolist() == [[127, -64, 0], [0, 0, 0], [-127, 2, 0]]
    assert scale[[0, 2]].tolist() == pytest.approx([0.01, 2])


def twin(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The layer token by token and output by output, the product in whole numbers of 64 bits."""
    found = torch.empty(len(x), len(weight))
    for i, token in enumerate(x):
        for j, row in enumerate(weight):
            token_scale, row_scale = token.abs().max() / 127, row.abs().max() / 127
            product = ((token / token_scale).round().long() * (row / row_scale).round().long()).sum()
            found[i, j] = product * token_scale * row_scale + bias[j]
    return found


@pytest.mark.usefixtures("processor")
def test_a_layer_is_its_product_in_whole_numbers() -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 37, generator=draw)
    x[..., 3] *= 40  # as some channels of CLIP's
    weight, bias = torch.randn(11, 37, generator=draw), torch.randn(11, generator=draw)
    found = int8_linear(x, *whole_rows(weight), bias)
    assert found.shape == (2, 5, 11)
    torch.testing.assert_close(found.view(10, 11), twin(x.view(10, 37), weight, bias))
    exact = F.linear(x, weight, bias)
    assert (found - exact).norm() < 0.05 * exact.norm()


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_a_block_in_int8_is_nearly_the_block(activation: str) -> None:
    draw = torch.Generator().manual_seed(0)

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw) * shape[-1] ** -0.5

    norm = Norm(1 + some(64), some(64), 1e-5)
    layers = (norm, some(192, 64), some(192), some(64, 64), some(64), norm)
    block = Block(4, *layers, some(256, 64), some(256), some(64, 256), some(64), activation)
    rounded, x = int8_block(block), torch.randn(2, 9, 64, generator=draw)
    assert (rounded.fc1.dtype, rounded.fc1.shape) == (torch.int8, block.fc1.shape)
    change = block(x) - x
    assert (rounded(x) - x - change).norm() < 0.03 * change.norm()


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("seed", [3_000_001, 3_000_004])
def test_masks_in_int8_are_nearly_those_in_float32(seed: int) -> None:
    (scene,) = moving_clip(seed, 1)
    queries = [*(f"the {thing.colour} {thing.shape}" for thing in scene.things), "the black fish"]
    exact, rounded = (
        VideoSegmenter.from_pretrained(
            "shapes", queries=queries, preset="shapes", crf=False, device="cpu", dtype=dtype
        )
        for dtype in ("float32", "int8")
    )
    assert [isinstance(block, Int8Block) for block in rounded.model.proposer.tower.blocks][-2:] == [
        True,
        False,
    ]
    assert rounded.model.describe()["dtype"] == "int8"
    ours, theirs = rounded.step(scene.image), exact.step(scene.image)
    assert theirs.present.any()
    assert ours.present.tolist() == theirs.present.tolist()
    for one, other in zip(ours.masks[theirs.present], theirs.masks[theirs.present], strict=True):
        assert np.count_nonzero(one & other) >= LEAST_IOU * np.count_nonzero(one | other)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_int8_is_refused_on_other_devices(device: str) -> None:
    with pytest.raises(
        UsageError, match=f"int8 runs on the CPU alone, not on {device}: leave --dtype to auto"
    ):
        resolve_dtype("int8", torch.device(device))


# A program whose products of 8-bit numbers add up in 16 bits, as on a processor without instructions for them.
OVERFLOWING = """
import sys
import torch
exact = torch._int_mm
torch._int_mm = lambda a, b: exact(a, b).clamp(-32768, 32767)
sys.argv[0] = "carvid"
from carvid.cli import main
main()
"""


def test_a_processor_whose_products_overflow_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "square.mp4", moving_square(1))
    command = ["run", str(tmp_path / "square.mp4"), "a red square", "--model", "shapes", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOWING, *command, "--dtype", "int8", "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "this processor has no exact int8 products" in done.stderr
    assert "compare some masks with those of --dtype float32" in done.stderr
    assert not (tmp_path / "out").exists()


def test_only_int8_has_a_caution() -> None:
    assert load_recipe().caution is None
    assert load_recipe(dtype="bfloat16").caution is None
    assert "--dtype int8 rounds" in str(load_recipe(dtype="int8").caution)
