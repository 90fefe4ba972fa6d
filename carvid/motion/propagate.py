"""Soft masks of key frames carried to the frames between them by optical flow, from both sides.

A mask is warped frame by frame, away from its key. Each pixel's confidence, that of the flow, is multiplied along the
way. Between two keys, the masks from both sides are averaged, weighted by confidence and by nearness to the key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.motion.edges import refine
from carvid.motion.flow import Flow, flows, grey, warp

Masks = NDArray[np.float32]

ENDS = 0.25
"""A mask that only one side has goes no further than where its mean confidence falls below this."""

# A mask whose mean confidence is below this in a single frame was not found there.
_LOST = 0.4
# No pixel's confidence falls below this share in one frame, so that where both sides are unsure, both still count.
_FLOOR = 0.005


@dataclass(frozen=True, eq=False)
class Carried:
    """Masks that came from one key to one frame.

    masks: (N, H, W) float32 in [0, 1]. confidence: (H, W) float32 in [0, 1], the same for all masks.
    trust: (N,) float32 in [0, 1]: the lowest mean confidence that each mask had on its way; 0 if the key has none,
        or it has left the picture.
    """

    masks: Masks
    confidence: NDArray[np.float32]
    trust: NDArray[np.float32]


def at_key(masks: Masks) -> Carried:
    """A key's own masks, (N, H, W) float32 in [0, 1]."""
    return Carried(
        masks, np.ones(masks.shape[1:], np.float32), np.array([mask.any() for mask in masks], np.float32)
    )


def carry(before: Carried, flow: Flow) -> Carried:
    """The same masks one frame further from their key. flow: from the new frame to the one that has `before`."""
    confidence = np.maximum(_FLOOR, flow.confidence) * warp(before.confidence, flow.offsets)
    masks, trust = np.zeros_like(before.masks), np.zeros_like(before.trust)
    # Most queries of a frame are absent; what has no mask needs no work.
    for i in np.flatnonzero(before.trust):
        masks[i] = warp(before.masks[i], flow.offsets)
        is_lost = mean_within(flow.confidence, masks[i]) < _LOST
        trust[i] = _FLOOR if is_lost else min(before.trust[i], mean_within(confidence, masks[i]))
    return Carried(masks, confidence, trust)


def fuse(past: Carried, future: Carried, share: float) -> Carried:
    """What came from both sides, averaged; the confidence is that of the surer side.

    share: how far on the way from the past key to the future one the frame lies, in (0, 1).
    A mask that one of the two keys does not have is carried from the other, to where its confidence ends: a thing that
    has come by the next key, or gone by then, is followed to where it comes or goes.
    """
    from_past, from_future = past.confidence * (1 - share), future.confidence * share
    # Nothing to divide by where neither key has a mask.
    weight = from_past / np.maximum(from_past + from_future, np.finfo(np.float32).tiny)
    confidence = np.maximum(past.confidence, future.confidence)
    masks, trust = np.zeros_like(past.masks), np.zeros_like(past.trust)
    for i, (there, here) in enumerate(zip(past.trust, future.trust, strict=True)):
        if there and here:
            masks[i] = future.masks[i] + weight * (past.masks[i] - future.masks[i])
            trust[i] = mean_within(confidence, masks[i])
        elif max(there, here) >= ENDS:
            masks[i], trust[i] = (past.masks[i], there) if there else (future.masks[i], here)
    return Carried(masks, confidence, trust)


def mean_within(confidence: NDArray[np.float32], mask: NDArray[np.float32]) -> float:
    """The mean confidence on a soft mask, both (H, W) float32; 0 where the mask is empty."""
    area = float(mask.sum())
    return float(np.vdot(confidence, mask)) / area if area else 0.0


def propagate(
    images: Sequence[NDArray[np.uint8]],
    keys: Mapping[int, Masks],
    refine: Callable[[NDArray[np.uint8], Masks, NDArray[np.float32]], Masks] = refine,
) -> list[Masks]:
    """Soft masks of every frame, from those of the key frames.

    images: (H, W, 3) uint8 RGB, all of one size, of one shot.
    keys: for each key frame, by its place in `images`, (N, H, W) float32 in [0, 1].

    refine: takes an image, masks carried to it and their confidence, and returns better ones; see
        `carvid.motion.edges.refine`.

    Returns one (N, H, W) float32 in [0, 1] per image: a key's own masks, as they are, and refined ones for the frames
    between. Frames before the first key and after the last come from that key alone.
    Raises UsageError where there is no key, or sizes and numbers do not fit.
    """
    _check(images, keys)
    places = sorted(keys)
    steps = [flows(one, other) for one, other in pairwise(map(grey, images))]
    found: list[Masks] = [keys[places[0]]] * len(images)
    for key in places:
        found[key] = keys[key]
    for first, last in [(None, places[0]), *pairwise(places), (places[-1], None)]:
        between = range(0 if first is None else first + 1, len(images) if last is None else last)
        past = {} if first is None else _carried(keys[first], between, [back for _, back in steps])
        future = {} if last is None else _carried(keys[last], between[::-1], [ahead for ahead, _ in steps])
        for i in between:
            if first is not None and last is not None:
                one = fuse(past[i], future[i], (i - first) / (last - first))
            else:
                one = past[i] if last is None else future[i]
            found[i] = refine(images[i], one.masks, one.confidence)
    return found


def _carried(key: Masks, places: range, flow: Sequence[Flow]) -> dict[int, Carried]:
    """What a key's masks become at these places, from the nearest on. flow: by the earlier of its two frames."""
    here, found = at_key(key), {}
    for i in places:
        # Forwards, the frame before is the nearer one to the key; backwards, the frame after.
        here = found[i] = carry(here, flow[i - 1 if places.step > 0 else i])
    return found


def _check(images: Sequence[NDArray[np.uint8]], keys: Mapping[int, Masks]) -> None:
    if not keys:
        raise UsageError("no key frame; expected the masks of at least one frame")
    sizes = {image.shape for image in images}
    shape = next(iter(keys.values())).shape
    for place, masks in keys.items():
        if not 0 <= place < len(images):
            raise UsageError(f"key frame {place} is none of the {len(images)} images, which count from 0")
        if len(sizes) != 1 or masks.shape != shape or masks.shape[1:] != images[place].shape[:2]:
            raise UsageError(
                f"the masks of key frame {place} are {masks.shape}, the images {sorted(sizes)}; "
                f"expected (N, H, W) of one size, and images (H, W, 3) of the same"
            )
