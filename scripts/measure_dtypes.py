"""How much faster bfloat16 and int8 are than float32 on this CPU, and how they change the masks.

    python scripts/measure_dtypes.py --model shapes --preset shapes --frames 20
    python scripts/measure_dtypes.py --model random:clip-b16 --preset refcoco --size 854x480 --frames 2

First one linear layer of ViT-B/16 alone, then drawn frames, each segmented in every type in turn after a warm-up frame.
Masks that are empty in both types are left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from carvid.clip.int8 import int8_linear, whole_rows
from carvid.loading import load_model
from carvid.measures.pair import iou
from carvid.recipe import load_recipe
from carvid.result import FrameResult
from carvid.shapes.scenes import moving_clip

DTYPES = ("float32", "bfloat16", "int8")
#: Tokens of a frame of 854x480 px, inputs and outputs of the first product of ViT-B/16's MLP.
LAYER = (1621, 768, 3072)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


@torch.inference_mode()
def layer_ms(repeats: int = 10) -> dict[str, float]:
    """The fastest of some repeats of one layer, by type, in ms."""
    tokens, inner, outer = LAYER
    x, weight, bias = torch.randn(tokens, inner), torch.randn(outer, inner), torch.randn(outer)
    half = (x.bfloat16(), weight.bfloat16(), bias.bfloat16())
    rounded = whole_rows(weight)
    work: dict[str, Callable[[], Any]] = {
        "float32": lambda: F.linear(x, weight, bias),
        "bfloat16": lambda: F.linear(*half),
        "int8": lambda: int8_linear(x, *rounded, bias),
    }
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name in work:
            spent[name].append(seconds(work[name])[0])
    return {name: 1e3 * min(each) for name, each in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--preset", default="shapes")
    parser.add_argument("--size", default="426x240")
    parser.add_argument("--frames", type=int, default=20)
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    for name, ms in (layer := layer_ms()).items():
        times = layer["float32"] / ms
        print(f"one layer, {' x '.join(map(str, LAYER))}: {name} {ms:.1f} ms, {times:.2f} times as fast")
    models = {
        name: load_model(load_recipe(options.preset, model=options.model, device="cpu", dtype=name))
        for name in DTYPES
    }
    spent: dict[str, list[float]] = {name: [] for name in DTYPES}
    ious: dict[str, list[float]] = {name: [] for name in DTYPES}
    alike = dict.fromkeys(DTYPES, 0)
    for number in range(options.frames + 1):
        scene = next(moving_clip(3_000_000 + number, 1))
        image = cv2.resize(scene.image, (width, height), interpolation=cv2.INTER_CUBIC)
        queries = [f"the {thing.name}" for thing in scene.things] + ["the orange car"]
        results: dict[str, FrameResult] = {}
        for name, model in models.items():
            session = model.session(queries)
            took, results[name] = seconds(lambda session=session, image=image: session.step(image))
            if number:
                spent[name].append(took)
        if not number:
            continue
        exact = results["float32"]
        for name, result in results.items():
            alike[name] += [step.live for step in result.evidence.steps] == [
                step.live for step in exact.evidence.steps
            ]
            ious[name] += [
                iou(a, b) for a, b in zip(result.masks, exact.masks, strict=True) if a.any() or b.any()
            ]
    print(f"{options.model}, preset {options.preset}, {options.size}, {options.frames} frames")
    print("| type | ms a frame | times as fast | live sets equal | mean IoU | median | lowest | masks |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name in DTYPES:
        # Frame by frame, as the machine's speed may change within a run.
        times = np.median(np.array(spent["float32"]) / np.array(spent[name]))
        found = ious[name]
        print(
            f"| {name} | {1e3 * np.median(spent[name]):,.0f} | {times:.2f} | {alike[name]} of {options.frames} | "
            f"{np.mean(found):.3f} | {np.median(found):.3f} | {np.min(found):.3f} | {len(found)} |"
        )


if __name__ == "__main__":
    main()
