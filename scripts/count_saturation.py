"""How often a query's share of f's softmax is so near 1 that float32 cannot tell it from 1, at CLIP's logit scale.

    python scripts/count_saturation.py --model shapes --preset shapes
    python scripts/count_saturation.py --model random:clip-b16 --preset refcoco --frames 5

On drawn frames with the queries of `carvid demo`: the things in a frame and two that are not. Shares are computed in
float64, and counted over all queries of all frames, in both modes of the softmax.
"""

from __future__ import annotations

import argparse

import torch

from carvid.segmenter import VideoSegmenter
from carvid.shapes.scenes import moving_clip

#: 1 - s below which a gradient with the factor 1 - s is mostly rounding, and where s is 1 in float32.
LIMITS = (1e-4, 1e-6, 2.0**-25)
ABSENT = ("the orange car", "the purple tree")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="shapes")
    parser.add_argument("--preset", default="shapes")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--logit-scale", type=float, default=100.0)
    options = parser.parse_args()
    missing: dict[str, list[torch.Tensor]] = {"refer": [], "semantic": []}
    first = VideoSegmenter.from_pretrained(
        options.model, queries=ABSENT, preset=options.preset, device="cpu", dtype="float32"
    )
    for number in range(options.frames):
        scene = next(moving_clip(3_000_000 + number, 1))
        queries = [f"the {thing.name}" for thing in scene.things] + list(ABSENT)
        segmenter = first.with_queries(queries)
        texts, _ = segmenter.texts
        z = segmenter.see(scene.image).features.state.embedding[0].double()
        queried = options.logit_scale * (texts.queries.double() @ z)  # (N,)
        background = (options.logit_scale * (texts.background.double() @ z)).logsumexp(0)
        for k, own in enumerate(queried):
            others = torch.cat([queried[:k], queried[k + 1 :], background[None]]).logsumexp(0)
            # 1 - s is the sigmoid of the others' lead.
            missing["refer"].append(torch.sigmoid(background - own))
            missing["semantic"].append(torch.sigmoid(others - own))
    print(f"{options.model}, logit scale {options.logit_scale:g}, {options.frames} frames")
    for mode, values in missing.items():
        each = torch.stack(values)
        shares = ", ".join(f"below {limit:.0e}: {(each < limit).double().mean():.1%}" for limit in LIMITS)
        print(f"{mode}: {len(each)} queries; 1 - s is {shares}; least {each.min():.1e}")


if __name__ == "__main__":
    main()
