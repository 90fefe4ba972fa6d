"""The machine: system, processor, memory, and the devices that torch sees."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from carvid.doctor.found import Found, scrubbed
from carvid.workers.child import usable_cores


def hardware() -> list[Found]:
    """What there is; never raises for what there is not."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    cores, usable = os.cpu_count(), usable_cores()
    processor = processor_name()
    total, free = memory_bytes()
    return [
        Found("system", system, system),
        Found(
            "processor",
            f"{processor}; {usable} cores usable" + (f" of {cores}" if cores != usable else ""),
            {"name": processor, "cores": cores, "usable_cores": usable},
        ),
        Found("memory", _memory(total, free), {"total_bytes": total, "free_bytes": free}),
        devices(),
    ]


def devices() -> Found:
    """The devices, the one that `auto` takes first, each with the dtype that `auto` stands for there."""
    try:
        import torch

        from carvid.weights.device import available_devices, resolve_dtype

        found = []
        for device in available_devices():
            dtype = str(resolve_dtype("auto", device)).removeprefix("torch.")
            one: dict[str, Any] = {"device": str(device), "dtype": dtype, "name": None, "memory_bytes": None}
            if device.type == "cuda":
                one["name"] = torch.cuda.get_device_name(device)
                one["memory_bytes"] = torch.cuda.get_device_properties(device).total_memory
            found.append(one)
    except (ImportError, OSError, RuntimeError) as error:
        return Found("devices", f"unknown: torch cannot be used ({scrubbed(error)})", None)
    told = []
    for one in found:
        named = f" ({one['name']}, {one['memory_bytes'] / 1e9:.0f} GB)" if one["name"] else ""
        told.append(f"{one['device']}{named} in {one['dtype']}")
    built = f"torch built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch built without CUDA"
    return Found("devices", f"auto takes {told[0]}; there are: {', '.join(told)}; {built}", found)


def processor_name() -> str:
    """The processor's name, as far as the system tells it."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return name


def memory_bytes() -> tuple[int | None, int | None]:
    """The machine's memory, and what of it a program may still take; None for what the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has none of it
        return None, None
    free = None
    info = Path("/proc/meminfo")
    if info.is_file():
        lines = info.read_text(encoding="ascii", errors="replace").splitlines()
        free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
    # A container may be allowed less than the machine has.
    limit, used = (_number(Path("/sys/fs/cgroup", name)) for name in ("memory.max", "memory.current"))
    if limit is not None and limit < total:
        total = limit
        free = min(limit - (used or 0), limit if free is None else free)
    return total, free


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _memory(total: int | None, free: int | None) -> str:
    if total is None:
        return "unknown"
    return f"{total / 1e9:.1f} GB" + ("" if free is None else f", {free / 1e9:.1f} GB free")
