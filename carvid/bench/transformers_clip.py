"""transformers' own CLIP on the weights that carvid loads, for the straightforward method."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from transformers import CLIPConfig, CLIPModel

from carvid.clip.load import check_clip
from carvid.weights.locate import Located


@lru_cache(maxsize=2)
def transformers_clip(located: Located) -> Any:
    """The frozen CLIPModel of located weights, float32 on the CPU; f's and g's are kept. Raises as `load_clip`."""
    found = check_clip(located, role="proposer")
    model = CLIPModel(CLIPConfig(**asdict(found.config)))
    model.load_state_dict({name: tensor.float() for name, tensor in found.state.items()})
    return model.eval().requires_grad_(False)
