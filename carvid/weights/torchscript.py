"""The tensors of a TorchScript archive, read without running it.

OpenAI published CLIP as TorchScript archives: a zip of code (`code/`), the module tree as a pickle
(`data.pkl`) and the tensors' raw bytes (`data/0`, ...). torch.jit.load would run the archive's program, and
torch.load with weights_only=True refuses it. Here nothing in the archive is executed: in its module tree an empty
node takes the place of every class, and no names are allowed but those in `_Tree.find_class`.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from carvid.weights.damage import refused

_STORAGE_DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


def is_torchscript(path: Path) -> bool:
    """Whether `path` is a TorchScript archive (a zip that holds constants.pkl and code)."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of the archive's modules by dotted name, as state_dict() calls them, on the CPU.

    Plain tensor attributes, such as CLIP's attention mask, are included; state_dict() would leave them out.
    Raises WeightsError for an archive that holds anything but modules, numbers, strings and tensors.
    """
    tensors: dict[str, torch.Tensor] = {}
    with refused(f"{path} is not a readable TorchScript archive"), zipfile.ZipFile(path) as archive:
        (data,) = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
        _collect(_Tree(archive, data).load(), "", tensors, set())
    return tensors


class _Node:
    """A module of the archive: its attributes, none of its code."""


class _Tree(pickle.Unpickler):
    """Unpickles `data.pkl`; every global but those below is refused."""

    def __init__(self, archive: zipfile.ZipFile, data: str) -> None:
        super().__init__(io.BytesIO(archive.read(data)))
        self._archive = archive
        self._folder = data.removesuffix(".pkl")
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global of the archive."""
        if module == "__torch__" or module.startswith("__torch__."):
            return _Node
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if module == "torch.jit._pickle" and name in ("build_intlist", "build_doublelist", "build_boollist"):
            return list
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CLIP needs")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The storage `('storage', dtype, key, device, count)` names, as a flat CPU tensor."""
        kind, dtype, key, _device, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"it refers to {pid!r}: expected a storage")
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._folder}/{key}"))
            self._storages[key] = torch.frombuffer(content, dtype=dtype, count=int(count))
        return self._storages[key]


def _rebuild(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_ignored: Any) -> torch.Tensor:
    # as_strided checks the bounds against the storage
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _collect(node: object, prefix: str, tensors: dict[str, torch.Tensor], above: set[int]) -> None:
    if not isinstance(node, _Node) or id(node) in above:
        raise pickle.UnpicklingError("expected a tree of modules")
    for name, value in vars(node).items():
        if isinstance(value, torch.Tensor):
            tensors[prefix + name] = value
        elif isinstance(value, _Node):
            _collect(value, f"{prefix}{name}.", tensors, above | {id(node)})
