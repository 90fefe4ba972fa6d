"""The one place where a device and a dtype are chosen; everywhere else they are arguments."""

from __future__ import annotations

import re

import torch

from carvid.errors import UsageError

INT8 = "int8"
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    # What is not rounded to whole numbers computes in float32.
    INT8: torch.float32,
}


def resolve_device(name: str = "auto") -> torch.device:
    """The device called `name`: auto, cpu, cuda, cuda:N or mps.

    auto takes cuda:0, else mps, else cpu. Raises UsageError for any other name, and for a device that this
    machine does not have, listing those it has.
    """
    if name == "auto":
        return available_devices()[0]
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name, re.ASCII):
        raise UsageError(f"unknown device {name!r}: expected auto, cpu, cuda, cuda:N or mps")
    device = torch.device("cuda", 0) if name == "cuda" else torch.device(name)
    there = available_devices()
    if device not in there:
        raise UsageError(
            f"no device {name}: this machine has {', '.join(str(one) for one in there)}; {_instead(device)}"
        )
    return device


def _instead(device: torch.device) -> str:
    """What to do without this device."""
    way = "leave --device to auto, which takes the fastest there is"
    if device.type == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        return f"{way}, or install a torch that is built for CUDA: this one, {torch.__version__}, is not"
    return way


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The floating-point type called `name` on `device`: auto, float32, bfloat16, float16, or int8, whose
    floating-point type is float32.

    auto is float32 on cpu and mps. On cuda it is bfloat16, whose range is float32's, so that the small
    gradients of Grad-CAM do not underflow; on cards too old for it, float16. Raises UsageError for a type the
    device lacks and for an unknown name.
    """
    if name == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if _has_bfloat16(device) else torch.float16
    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}: expected auto, {', '.join(DTYPES)}")
    if name == "bfloat16" and not _has_bfloat16(device):
        raise UsageError(f"{device} has no bfloat16: choose float16 or float32")
    if name == INT8:
        _check_int8(device)
    return DTYPES[name]


def available_devices() -> tuple[torch.device, ...]:
    """The devices of this machine, the fastest kind first; cpu is always the last."""
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [torch.device("cuda", index) for index in range(cuda)]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    return (*devices, torch.device("cpu"))


def _check_int8(device: torch.device) -> None:
    if device.type != "cpu":
        raise UsageError(
            f"{INT8} runs on the CPU alone, not on {device}: leave --dtype to auto, or add --device cpu"
        )
    # Processors without instructions for it add pairs of products in 16 bits, where these overflow.
    ones, inner = torch.ones(16, 64, dtype=torch.int8), 64
    if not bool((torch._int_mm(127 * ones, -127 * ones.T) == -127 * 127 * inner).all()):
        raise UsageError(
            f"this processor has no exact {INT8} products (it lacks AVX512-VNNI or the like): "
            "choose float32 or bfloat16"
        )


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        # Compute capability 8 (Ampere) brought bfloat16; older cards emulate it slowly. ROCm reports 9 or more.
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "mps":
        return bool(torch.backends.mps.is_macos_or_newer(14, 0))
    return True
