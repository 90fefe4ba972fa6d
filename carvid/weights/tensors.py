"""Tensors out of files, and what is refused: pickles not asked for, tensors missing, misshapen or NaN."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.torch_version import TorchVersion

from carvid.errors import WeightsError
from carvid.weights.torchscript import is_torchscript, read_torchscript

#: The first torch whose weights_only unpickler is trusted with files of unknown origin.
SAFE_TORCH = "2.10"

_SHOWN = 5


def read_state_dict(paths: Iterable[Path], *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """The tensors in `paths` (one file, or the shards of one model), on the CPU, by name.

    `.safetensors` is read as it is. Any other suffix is a pickle: refused unless `allow_pickle`, then read
    with torch.load(weights_only=True); OpenAI's TorchScript archives as `torchscript.read_torchscript` does.
    Raises WeightsError.
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
    return state


def check_state_dict(
    state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Size], *, where: str
) -> dict[str, torch.Tensor]:
    """The tensors of `state` that `expected` asks for, after the checks; position_ids buffers are left out.

    Raises WeightsError that names the tensors missing, unknown, of another shape than expected, or with NaN
    or infinite values.
    """
    # Older checkpoints carry the position_ids buffers, which are nothing but 0, 1, 2, ...
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
    integers = [
        f"{name} ({tensor.dtype})" for name, tensor in given.items() if not tensor.is_floating_point()
    ]
    if integers:
        raise WeightsError(f"{where}: expected floating-point tensors, found {_list(integers)}")
    broken = [name for name, tensor in given.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise WeightsError(
            f"{where}: NaN or infinite values in {_list(broken)}: the file is damaged, fetch it again"
        )
    return given


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    return tensors


def _read_pickle(path: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    if not allow_pickle:
        raise WeightsError(
            f"{path} is a pickle: pass --allow-pickle to read its tensors (weights_only=True), or convert it "
            "to safetensors"
        )
    if is_torchscript(path):
        return read_torchscript(path)
    if TorchVersion(torch.__version__) < TorchVersion(SAFE_TORCH):
        raise WeightsError(
            f"{path} is a pickle: reading it needs torch {SAFE_TORCH} or later, found {torch.__version__}"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path} was refused: it is no plain file of tensors ({reason})") from error
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
