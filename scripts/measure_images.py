"""Resident memory of `carvid images` over many pictures of several sizes: the command and its worker together.

    python scripts/measure_images.py --images 5000

Prints a Markdown table, and the growth per 1,000 images after the first tenth (least squares). Linux alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from carvid.shapes.scenes import moving_clip  # noqa: E402

SIZES = [(64, 96), (96, 64), (80, 80), (64, 64)]
QUERIES = ["the red circle", "the blue star"]
WARM_UP = 0.1


def resident_mib(pid: int) -> dict[str, float]:
    """The resident sets, in MiB, of a process and of its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = {}
    for name, one in [("command", str(pid)), *(("worker", child) for child in children)]:
        pages = int(Path(f"/proc/{one}/statm").read_text().split()[1])
        found[name] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=5000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures, out = Path(folder, "in"), Path(folder, "out")
        pictures.mkdir()
        scenes = [next(iter(moving_clip(seed, 1, *SIZES[seed % len(SIZES)]))).image for seed in range(40)]
        for i in range(arguments.images):
            Image.fromarray(scenes[i % len(scenes)]).save(pictures / f"{i:05d}.png")
        command = [sys.executable, "-m", "carvid", "images", str(pictures), *QUERIES, "-o", str(out)]
        process = subprocess.Popen(
            [*command, "--model", "shapes"], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        rows: list[tuple[int, float, float]] = []
        step = max(1, arguments.images // 20)
        while process.poll() is None:
            done = sum(1 for _ in out.glob("records/*.json"))
            if done >= (rows[-1][0] + step if rows else 1):
                try:
                    mib = resident_mib(process.pid)
                except FileNotFoundError:
                    continue
                rows.append((done, mib["command"], mib.get("worker", 0.0)))
            time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"carvid images ended with {process.returncode}")
    print("| images | command, MiB | worker, MiB |\n|---:|---:|---:|")
    for done, command_mib, worker_mib in rows:
        print(f"| {done} | {command_mib:.0f} | {worker_mib:.0f} |")
    kept = np.array([row for row in rows if row[0] >= WARM_UP * arguments.images and row[2]])
    for name, column in (("command", 1), ("worker", 2)):
        growth = np.polyfit(kept[:, 0], kept[:, column], 1)[0] * 1000
        print(f"{name}: {growth:+.1f} MiB per 1,000 images")


if __name__ == "__main__":
    main()
