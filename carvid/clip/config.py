"""What a CLIP's config.json says of its network, with transformers' names and defaults.

Read here because importing transformers for it takes nearly as long as importing torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from carvid.errors import WeightsError
from carvid.weights.architecture import Fields, fields
from carvid.weights.files import CONFIG

ACTIVATIONS = ("quick_gelu", "gelu")

# So large that no network reaches it, and small enough that the product of two is a size torch can hold.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class TextConfig:
    """The text tower. hidden_act: one of `ACTIVATIONS`.

    eos_token_id: where a text is pooled; in old configurations 2 stands for the text's highest id.
    """

    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    vocab_size: int = 49408
    max_position_embeddings: int = 77
    eos_token_id: int = 49407


@dataclass(frozen=True)
class VisionConfig:
    """The vision tower, for square images of 3 channels. image_size, patch_size: sides in px."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    image_size: int = 224
    patch_size: int = 32


@dataclass(frozen=True)
class ClipConfig:
    """A CLIP's architecture. projection_dim: the width of the space that texts and images share."""

    text_config: TextConfig
    vision_config: VisionConfig
    projection_dim: int = 512

    @staticmethod
    def from_dict(known: Mapping[str, Any], *, where: str) -> ClipConfig:
        """A config.json, reduced to `CONFIG_FIELDS`. Raises WeightsError, which names the field it refuses."""
        where = f"{where}: its {CONFIG} describes no CLIP"
        width = known.get("projection_dim", ClipConfig.projection_dim)
        _check("projection_dim", width, ClipConfig.projection_dim, where)
        return ClipConfig(
            text_config=_part(TextConfig, "text_config", known, where),
            vision_config=_part(VisionConfig, "vision_config", known, where),
            projection_dim=width,
        )


#: What is read of a CLIP's config.json. Old configurations have parts whose names end in _dict.
CONFIG_FIELDS: Fields = {
    "projection_dim": None,
    **{
        f"{name}{ending}": fields(" ".join(field.name for field in dataclasses.fields(part)))
        for name, part in (("text_config", TextConfig), ("vision_config", VisionConfig))
        for ending in ("", "_dict")
    },
}

_Part = TypeVar("_Part", TextConfig, VisionConfig)


def _part(kind: type[_Part], name: str, known: Mapping[str, Any], where: str) -> _Part:
    # As in transformers: where both spellings are there, the old one holds, its defaults included.
    found = known.get(f"{name}_dict")
    given: Mapping[str, Any] = (known.get(name) or {}) if found is None else found
    part = kind(**given)
    for field in dataclasses.fields(kind):
        _check(f"{name}.{field.name}", getattr(part, field.name), field.default, where)
    if part.hidden_size % part.num_attention_heads:
        raise WeightsError(
            f"{where}: {name}.hidden_size is {part.hidden_size}, expected a multiple of the "
            f"{part.num_attention_heads} heads"
        )
    if isinstance(part, VisionConfig) and part.patch_size > part.image_size:
        raise WeightsError(
            f"{where}: {name}.patch_size is {part.patch_size}, expected no more than image_size, "
            f"{part.image_size}"
        )
    return part


def _check(name: str, value: Any, default: object, where: str) -> None:
    """Raise WeightsError for a value of another type than the field's default, or out of range."""
    if isinstance(default, str):
        expected, fits = f"one of {', '.join(ACTIVATIONS)}", value in ACTIVATIONS
    elif isinstance(default, float):
        expected, fits = "a number from 0 to 1", _is_number(value, float) and 0 <= value <= 1
    else:
        least = 0 if name.endswith("token_id") else 1
        expected = f"a whole number from {least} to {_LARGEST}"
        if name.endswith(("image_size", "patch_size")):
            expected = "one number (a square)"
        fits = _is_number(value) and least <= value <= _LARGEST
    if not fits:
        raise WeightsError(f"{where}: {name} is {value!r}, expected {expected}")


def _is_number(value: object, *also: type) -> bool:
    return isinstance(value, (int, *also)) and not isinstance(value, bool)
