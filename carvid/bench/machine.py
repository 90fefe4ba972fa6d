"""The machine of a benchmark: its name, how fast it multiplies matrices, and the memory used."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from dataclasses import dataclass

import torch

from carvid.doctor.hardware import processor_name
from carvid.stopwatch import synchronise

# One measurement takes at least this long, so that launching and timing do not matter.
_SHORTEST_SECONDS = 0.02
_MEASUREMENTS = 7
_LARGE_SQUARE = {"cuda": 8192}
_LARGE_SQUARE_ELSEWHERE = 2048


@dataclass(frozen=True)
class Product:
    """The best rate of the product (rows, inner) x (columns, inner)^T. flops: floating-point operations per second."""

    rows: int
    inner: int
    columns: int
    flops: float


@dataclass(frozen=True)
class Machine:
    """device: the name of the CPU or GPU. threads: torch's on the CPU. torch, python: versions."""

    device: str
    threads: int
    torch: str
    python: str


def describe_machine(device: torch.device) -> Machine:
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{processor_name()}, {os.cpu_count()} CPUs"
    )
    return Machine(name, torch.get_num_threads(), torch.__version__, platform.python_version())


@torch.inference_mode()
def measure_product(
    rows: int, inner: int, columns: int, *, device: torch.device, dtype: torch.dtype
) -> Product:
    """The best of several timings of a linear layer's product, in the layout that the towers use."""
    x = torch.randn(rows, inner, device=device).to(dtype)
    weight = torch.randn(columns, inner, device=device).to(dtype)

    def spent(times: int) -> float:
        synchronise(device)
        started = time.perf_counter()
        for _ in range(times):
            torch.nn.functional.linear(x, weight)
        synchronise(device)
        return time.perf_counter() - started

    spent(1)
    times = max(1, math.ceil(_SHORTEST_SECONDS / max(spent(1), 1e-6)))
    best = min(spent(times) for _ in range(_MEASUREMENTS)) / times
    return Product(rows, inner, columns, 2 * rows * inner * columns / best)


def large_square(device: torch.device) -> int:
    """The side of a square product large enough to reach the device's full rate."""
    return _LARGE_SQUARE.get(device.type, _LARGE_SQUARE_ELSEWHERE)


def peak_memory(device: torch.device) -> dict[str, int]:
    """Peak memory in bytes. host_bytes: the process's largest resident set so far, weights and libraries included.
    device_bytes: on a CUDA device, the most that tensors held since `reset_peak`."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.type == "cuda":
        peak["device_bytes"] = torch.cuda.max_memory_allocated(device)
    return peak


def reset_peak(device: torch.device) -> None:
    """Reset a CUDA device's peak; the host's cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
