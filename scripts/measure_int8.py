"""How much faster int8 matrix products are on this CPU, and how they change the masks. An experiment, not an option.

    python scripts/measure_int8.py --model shapes --preset shapes --frames 20
    python scripts/measure_int8.py --model random:clip-b16 --preset refcoco --size 854x480 --frames 2

Every linear layer of both towers, except in f's last block, whose gradients are needed, is replaced by PyTorch's
dynamic quantisation: 8-bit weights per row and 8-bit activations per tensor. Each frame is segmented in float32 and
then in int8.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from carvid.clip.load import LoadedClip
from carvid.clip.vision import Block, activate
from carvid.loading import load_model
from carvid.measures.pair import iou
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.shapes.scenes import moving_clip


def packed(weight: Tensor, bias: Tensor) -> Any:
    scales = weight.abs().amax(1).clamp(min=1e-8) / 127
    zeros = torch.zeros(len(weight), dtype=torch.long)
    rows = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    return torch.ops.quantized.linear_prepack(rows, bias)


def linear(x: Tensor, layer: Any) -> Tensor:
    return torch.ops.quantized.linear_dynamic(x, layer, reduce_range=True)


@dataclass(frozen=True)
class Int8Block(Block):
    """A block whose four linear layers are quantised."""

    layers: tuple[Any, Any, Any, Any] = ()  # type: ignore[assignment]

    def project(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, tokens, width = a.shape
        joint = linear(a, self.layers[0]).view(batch, tokens, 3, self.heads, width // self.heads)
        joint = joint.permute(2, 0, 3, 1, 4)
        return joint[0], joint[1], joint[2]

    def merge(self, heads: Tensor) -> Tensor:
        return linear(heads.transpose(1, 2).flatten(2), self.layers[1])

    def mlp(self, x: Tensor) -> Tensor:
        hidden = linear(self.norm2(x), self.layers[2])
        return linear(activate(hidden, self.activation), self.layers[3])


def quantised(block: Block) -> Int8Block:
    parts = {field.name: getattr(block, field.name) for field in fields(Block)}
    layers = (
        packed(block.query_key_value, block.query_key_value_bias),
        packed(block.out, block.out_bias),
        packed(block.fc1, block.fc1_bias),
        packed(block.fc2, block.fc2_bias),
    )
    return Int8Block(**parts, layers=layers)


def with_int8(clip: LoadedClip, *, but_last: bool) -> LoadedClip:
    blocks = clip.tower.blocks
    last = blocks[-1] if but_last else quantised(blocks[-1])
    tower = replace(clip.tower, blocks=(*(quantised(block) for block in blocks[:-1]), last))
    return replace(clip, tower=tower)


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
    recipe = load_recipe(options.preset, model=options.model, device="cpu", dtype="float32")
    exact = load_model(recipe)
    f, g = exact.proposer, exact.classifier
    small = Model(recipe, with_int8(f, but_last=True), with_int8(g, but_last=False))
    seconds: dict[str, list[float]] = {"float32": [], "int8": []}
    same_live, ious = 0, []
    for number in range(options.frames):
        scene = next(moving_clip(3_000_000 + number, 1))
        image = cv2.resize(scene.image, (width, height), interpolation=cv2.INTER_CUBIC)
        queries = [f"the {thing.name}" for thing in scene.things] + ["the orange car"]
        results = []
        for name, model in (("float32", exact), ("int8", small)):
            session = model.session(queries)
            started = time.perf_counter()
            results.append(session.step(image))
            seconds[name].append(time.perf_counter() - started)
        one, other = results
        same_live += [step.live for step in one.evidence.steps] == [
            step.live for step in other.evidence.steps
        ]
        for a, b in zip(one.masks, other.masks, strict=True):
            if a.any() or b.any():
                ious.append(iou(a, b))
    medians = {name: float(np.median(spent[1:] or spent)) for name, spent in seconds.items()}
    print(
        f"{options.model}, {options.size}, {options.frames} frames: float32 {medians['float32']:.3f} s, ",
        end="",
    )
    print(f"int8 {medians['int8']:.3f} s a frame, {medians['float32'] / medians['int8']:.2f} times as fast")
    print(f"live sets equal in {same_live} of {options.frames} frames; of {len(ious)} masks ", end="")
    print(f"mean IoU {np.mean(ious):.4f}, median {np.median(ious):.4f}, lowest {np.min(ious):.4f}")


if __name__ == "__main__":
    main()
