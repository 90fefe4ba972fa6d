"""Tensors out of files; refused are pickles nobody allowed, and tensors missing, misshapen or not finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.torch_version import TorchVersion

from carvid.errors import WeightsError
from carvid.weights.damage import refused
from carvid.weights.files import check_pickle
from carvid.weights.torchscript import is_torchscript, read_torchscript

#: The first torch whose weights_only unpickler is trusted with files of unknown origin.
SAFE_TORCH = "2.10"

#: What torch.compile, data-parallel training and a surrounding module put before every name.
PREFIXES = ("_orig_mod.", "module.", "model.", "clip.")

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_SHOWN = 5


def read_state_dict(paths: Iterable[Path], *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """The tensors in `paths` (one file, or the shards of one model), on the CPU, by name.

    A file that does not end in `.safetensors` is a pickle: refused unless `allow_pickle`, otherwise read with
    torch.load(weights_only=True), or with `torchscript.read_torchscript` if it is such an archive.
    Prefixes that wrappers put before every name are taken off. Raises WeightsError.
    """
    state: dict[str, torch.Tensor] = {}
    for path in paths:
        if path.suffix.lower() == ".safetensors":
            part = _read_safetensors(path)
        else:
            part = _read_pickle(path, allow_pickle=allow_pickle)
        if twice := sorted(state.keys() & part.keys()):
            raise WeightsError(f"{path} holds {_list(twice)}, which another shard holds already")
        state.update(part)
    return strip_prefixes(state)


def strip_prefixes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors without the `PREFIXES` that all their names share, nested ones too."""
    state = dict(state)
    while shared := [
        prefix for prefix in PREFIXES if state and all(name.startswith(prefix) for name in state)
    ]:
        state = {name.removeprefix(shared[0]): tensor for name, tensor in state.items()}
    return state


def check_state_dict(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Size], *, where: str
) -> dict[str, torch.Tensor]:
    """The tensors of `state` that `expected` asks for, after the checks; position_ids buffers are left out.

    Raises WeightsError, which names the tensors that are missing, unknown, of another shape than expected, not
    dense floating-point tensors, or that hold NaN or infinite values.
    """
    # Older checkpoints carry the position_ids buffers, which just count 0, 1, 2, ...
    given = {name: tensor for name, tensor in state.items() if not name.endswith(".position_ids")}
    if missing := [name for name in expected if name not in given]:
        raise WeightsError(f"{where}: {len(missing)} tensors are missing: {_list(missing)}")
    if unknown := sorted(given.keys() - expected.keys()):
        raise WeightsError(
            f"{where}: {len(unknown)} tensors have no place in the model its configuration describes: "
            f"{_list(unknown)}"
        )
    wrong = [
        f"{name} has shape {tuple(given[name].shape)}, expected {tuple(shape)}"
        for name, shape in expected.items()
        if given[name].shape != shape
    ]
    if wrong:
        raise WeightsError(f"{where}: wrong shapes: {_list(wrong)}")
    if others := [f"{name} ({kind})" for name, tensor in given.items() if (kind := _unusual(tensor))]:
        raise WeightsError(
            f"{where}: expected dense floating-point tensors of 16, 32 or 64 bits, found {_list(others)}"
        )
    broken = [name for name, tensor in given.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise WeightsError(
            f"{where}: NaN or infinite values in {_list(broken)}: the file is damaged, fetch it again"
        )
    return given


def _unusual(tensor: torch.Tensor) -> str:
    """What keeps `tensor` from being used; empty for a dense tensor of floating-point numbers."""
    if tensor.dtype not in _DTYPES:
        return str(tensor.dtype)
    # A pickle may also hold sparse tensors, and tensors without content, on the meta device.
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return f"{tensor.layout} on {tensor.device}"
    return ""


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    with refused(f"{path} is not a readable safetensors file"):
        tensors: dict[str, torch.Tensor] = load_file(path, device="cpu")
    return tensors


def _read_pickle(path: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    check_pickle(path, allow_pickle=allow_pickle)
    with refused(f"{path} is not a readable archive"):
        if is_torchscript(path):
            return read_torchscript(path)
    if TorchVersion(torch.__version__) < TorchVersion(SAFE_TORCH):
        raise WeightsError(
            f"{path} is a pickle: reading it needs torch {SAFE_TORCH} or later, found {torch.__version__}"
        )
    # torch's own words are not passed on: they advise loading with weights_only=False.
    with refused(f"{path} was refused: it is damaged, or holds more than tensors", quote=False):
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Training checkpoints keep the weights under "state_dict", beside the optimiser's state.
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise WeightsError(
            f"{path} holds a {type(content).__name__}: expected a state dict, names and tensors alone"
        )
    return {str(name): tensor for name, tensor in content.items()}


def _list(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
