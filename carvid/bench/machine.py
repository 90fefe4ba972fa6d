"""The machine a benchmark ran on: its name, its own matrix-product rate, and the memory used."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from carvid.stopwatch import synchronise

# One measurement is at least this long, so that launching and timing do not count.
_SHORTEST_SECONDS = 0.02
_MEASUREMENTS = 7
_LARGE_SQUARE = {"cuda": 8192}
_LARGE_SQUARE_ELSEWHERE = 2048


@dataclass(frozen=True)
class Product:
    """How fast (rows, inner) x (columns, inner)^T was at best. flops: floating-point operations per second."""

    rows: int
    inner: int
    columns: int
    flops: float


@dataclass(frozen=True)
class Machine:
    """device: its name. threads: of torch on the CPU."""

    device: str
    threads: int
    torch: str
    python: str


def describe_machine(device: torch.device) -> Machine:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return Machine(name, torch.get_num_threads(), torch.__version__, platform.python_version())


@torch.inference_mode()
def measure_product(
    rows: int, inner: int, columns: int, *, device: torch.device, dtype: torch.dtype
) -> Product:
    """The best of several timings of one linear layer's product, in the layout the towers use."""
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
    """The side of a product large enough for the device to show what it can."""
    return _LARGE_SQUARE.get(device.type, _LARGE_SQUARE_ELSEWHERE)


def peak_memory(device: torch.device) -> dict[str, int]:
    """host_bytes: the process's largest resident set so far, weights and libraries included. device_bytes: the
    most that tensors held on a CUDA device since `reset_peak`."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device.type == "cuda":
        peak["device_bytes"] = torch.cuda.max_memory_allocated(device)
    return peak


def reset_peak(device: torch.device) -> None:
    """Start a CUDA device's peak anew; the host's cannot be."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _cpu_name() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} CPUs"
