from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from carvid.errors import WeightsError
from carvid.sam.convert import convert_state_dict, infer_config, is_original_layout
from tests.tiny_sam import CONFIG, make_tiny_sam, original_state_dict

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    return load_file(make_tiny_sam(tmp_path_factory.mktemp("sam")) / "model.safetensors")


def test_conversion_renames_every_tensor_and_changes_none(state: State) -> None:
    original = original_state_dict(state)
    assert is_original_layout(original)
    assert not is_original_layout(state)
    # One table stands under two names in transformers.
    assert len(original) == len(state) - 1
    converted = convert_state_dict(original, where="x.pth")
    assert converted.keys() == state.keys()
    assert all(torch.equal(converted[name], tensor) for name, tensor in state.items())


def test_shapes_tell_the_configuration(state: State) -> None:
    config = infer_config(original_state_dict(state), where="x.pth")
    for part, described in CONFIG.items():
        found = config[part]
        assert {name: found[name] for name in described} == described
    assert config["mask_decoder_config"]["num_multimask_outputs"] == 3
    assert config["mask_decoder_config"]["iou_head_depth"] == 3
    assert config["mask_decoder_config"]["attention_downsample_rate"] == 2


def test_a_tensor_no_sam_has_is_named(state: State) -> None:
    original = {**original_state_dict(state), "mask_decoder.hf_token.weight": torch.zeros(1, 32)}
    with pytest.raises(WeightsError, match=r"x.pth holds mask_decoder.hf_token.weight \(1, 32\)"):
        convert_state_dict(original, where="x.pth")


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("image_encoder.pos_embed", None, "holds no image_encoder.pos_embed"),
        ("image_encoder.pos_embed", torch.zeros(1, 4, 5, 16), "4 x 5, expected a square"),
        ("image_encoder.pos_embed", torch.zeros(4, 4), "expected 4 dimensions"),
        ("image_encoder.blocks.1.attn.rel_pos_h", None, "holds no image_encoder.blocks.1.attn.rel_pos_h"),
        ("image_encoder.blocks.0.attn.rel_pos_h", torch.zeros(5, 7), "expected a multiple of its heads"),
        ("mask_decoder.mask_tokens.weight", torch.zeros(0, 32), "expected 2 dimensions"),
    ],
)
def test_shapes_that_are_no_sam_are_named(
    state: State, name: str, tensor: torch.Tensor | None, message: str
) -> None:
    original = original_state_dict(state)
    original.pop(name)
    if tensor is not None:
        original[name] = tensor
    with pytest.raises(WeightsError, match=message):
        infer_config(original, where="x.pth")


def test_a_block_without_blocks_is_no_sam(state: State) -> None:
    headless = {k: v for k, v in original_state_dict(state).items() if ".blocks." not in k}
    with pytest.raises(WeightsError, match="expected a multiple of its heads"):
        infer_config(headless, where=str(Path("x.pth")))
