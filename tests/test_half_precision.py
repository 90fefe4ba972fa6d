"""What `--dtype auto` computes in on a GPU keeps the masks of float32, with the embedded model."""

from __future__ import annotations

import numpy as np
import pytest

from carvid.segmenter import VideoSegmenter
from carvid.shapes.scenes import moving_clip

LEAST_IOU = 0.99


@pytest.mark.parametrize("cam", ["gradcam", "clip-es"])
@pytest.mark.parametrize("seed", [3_000_001, 3_000_004])
@pytest.mark.parametrize(("half", "score"), [("bfloat16", 0.05), ("float16", 0.02)])  # 8 and 11 bits
def test_masks_in_half_precision_are_those_in_float32(half: str, score: float, seed: int, cam: str) -> None:
    (scene,) = moving_clip(seed, 1)
    queries = [*(f"the {thing.colour} {thing.shape}" for thing in scene.things), "the black fish"]
    exact, rounded = (
        VideoSegmenter.from_pretrained(
            "shapes", queries=queries, preset="shapes", cam=cam, device="cpu", dtype=dtype
        ).step(scene.image)
        for dtype in ("float32", half)
    )
    assert exact.present.any()
    assert rounded.present.tolist() == exact.present.tolist()
    assert np.abs(rounded.scores - exact.scores).max() < score
    for ours, theirs in zip(rounded.masks[exact.present], exact.masks[exact.present], strict=True):
        assert np.count_nonzero(ours & theirs) >= LEAST_IOU * np.count_nonzero(ours | theirs)
