"""What is taken from a config.json: the fields that shape the network, and nothing else.

A configuration can also choose attention kernels, which transformers would fetch and run, or name code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from carvid.errors import WeightsError
from carvid.weights.files import CONFIG
from carvid.weights.stored import Stored

#: Names of fields: None for a value, fields for an object.
Fields: TypeAlias = "Mapping[str, Fields | None]"

# Each says how many modules of a kind to make, and a billion would never be made. As every module has a tensor of
# its own, no more are made than there are tensors; a few are in any case, so that missing tensors can be named.
_FEW = 100
_COUNTS = (
    "blocks_per_stage",
    "iou_head_depth",
    "num_feature_levels",
    "num_hidden_layers",
    "num_multimask_outputs",
    "num_point_embeddings",
)


def fields(names: str) -> Fields:
    """The fields of these names, separated by spaces, all of them values."""
    return dict.fromkeys(names.split())


def architecture_of(stored: Stored, known: Fields, *, where: str) -> dict[str, Any]:
    """The stored configuration, reduced to its `known` fields.

    Raises WeightsError for a value where an object belongs, and for many more modules than there are tensors.
    """
    limit = max(_FEW, len(stored.state or ()))
    return _known(stored.config, known, limit, where)


def _known(config: Mapping[str, Any], known: Fields, limit: int, where: str) -> dict[str, Any]:
    out = {}
    for name, inner in known.items():
        if name not in config:
            continue
        value = config[name]
        if name in _COUNTS:
            counts = value if isinstance(value, list) else [value]
            if any(isinstance(count, int) and count > limit for count in counts):
                raise WeightsError(f"{where}: its {CONFIG} says {name} {value}, more than it has tensors")
        if inner is not None and value is not None:
            if not isinstance(value, Mapping):
                raise WeightsError(f"{where}: its {CONFIG} holds {value!r} as {name}, expected an object")
            value = _known(value, inner, limit, where)
        out[name] = value
    return out
