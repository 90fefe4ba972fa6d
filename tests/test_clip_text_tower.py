"""Our text tower against transformers' own on the same random weights."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from carvid.clip.config import TextConfig
from carvid.clip.text_tower import text_tower
from tests.tiny_clip import random_weights

# With room after the end token, and without; twice the end token; the end token first.
IDS = torch.tensor(
    [
        [7, 3, 1, 4, 9, 0, 0, 0],
        [7, 5, 5, 8, 1, 6, 4, 9],
        [7, 3, 9, 2, 9, 1, 9, 9],
        [9, 1, 2, 3, 4, 5, 6, 7],
    ]
)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("end", [9, 4, 2], ids=["the highest id", "another id", "2, for the highest"])
def test_features_are_those_of_transformers(activation: str, end: int) -> None:
    config = TextConfig(
        hidden_size=32,
        intermediate_size=56,
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_act=activation,
        layer_norm_eps=1e-3,
        vocab_size=10,
        max_position_embeddings=11,
        eos_token_id=end,
    )
    theirs = CLIPModel(CLIPConfig(text_config=vars(config), vision_config={"num_hidden_layers": 0})).eval()
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    state = random_weights(shapes, seed=3, gain=1.5)
    theirs.load_state_dict(state)
    tower = text_tower(state, config)
    for ids in (IDS, IDS[:1, :5], IDS[1:2]):
        with torch.no_grad():
            expected = theirs.get_text_features(input_ids=ids)
        # transformers 5 returns the text model's output, its pooler_output projected
        expected = getattr(expected, "pooler_output", expected)
        torch.testing.assert_close(tower(ids), expected, rtol=2e-5, atol=2e-5)
