"""How often `carvid.words` chooses the right thing, where the things are known.

    python scripts/measure_words.py [--clips 60] [--sequences DAVIS]

Generated: boxes of one name at stated places, of stated sizes and motions, under a camera that pans in every other
clip, and expressions with the truth, in the wording of real lists, slips included. Real: sequences of DAVIS
(JPEGImages/480p and Annotations/480p, one object each) with a mirrored, a smaller, a larger and a shifted copy of the
annotation's mask, and one that stands still in the scene, as rivals. There the camera's motion is that of the pictures,
by optical flow. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from carvid.motion.camera import shift
from carvid.motion.flow import flows, grey
from carvid.words import Candidate, choose, read

SIZE = (240, 426)
FRAMES = 12
NAMES = ("dog", "car", "horse", "boat", "man")
ORDINALS = ("first", "second", "third", "forth")
Question = tuple[str, str, list[Candidate], set[int], dict[str, list[Candidate]]]


def box(
    middle: Sequence[float],
    sides: Sequence[float],
    camera: NDArray[np.float64],
    *,
    step: Sequence[float] = (0, 0),
    grow: float = 0,
    seen: tuple[int, int] = (0, FRAMES),
) -> Candidate:
    """A box that moves by `step` px a frame of its own, and grows by the share `grow`."""
    t = np.arange(FRAMES)[:, None]
    middles = np.array(middle) + np.array(step) * t + camera
    half = np.array(sides) / 2 * (1 + grow) ** t
    boxes = np.concatenate([middles - half, middles + half], 1).astype(np.float64)
    boxes[[i for i in range(FRAMES) if not seen[0] <= i < seen[1]]] = np.nan
    areas = np.nan_to_num((boxes[:, 2:] - boxes[:, :2]).prod(1))
    return Candidate(boxes, areas, camera)


def apart(rng: Generator, low: float, high: float, count: int, least: float) -> NDArray[np.float64]:
    """`count` numbers between low and high, at least `least` apart, in no order."""
    while True:
        values = rng.uniform(low, high, count)
        if np.diff(np.sort(values)).min(initial=np.inf) >= least:
            return values


def generated(seed: int) -> Iterator[Question]:
    """One question of each sort about a clip of its own: kind, expression, candidates, the right ones, other things."""
    rng = np.random.default_rng(seed)
    name, count = str(rng.choice(NAMES)), int(rng.integers(2, 5))
    pan = rng.uniform(-4, 4, 2) * (seed % 2)
    camera = np.arange(FRAMES)[:, None] * pan
    xs, ys = apart(rng, 40, 380, count, 45), apart(rng, 30, 210, count, 25)
    side = 30.0
    row = [box((x, y), (side, side), camera) for x, y in zip(xs, ys, strict=True)]

    def said(*wordings: str) -> str:
        return str(rng.choice(wordings)).replace("{}", name)

    ends = {"left": xs.argmin(), "right": xs.argmax(), "top": ys.argmin(), "bottom": ys.argmax()}
    for end, right in ends.items():
        words = (
            f"the {{}} on the {end}",
            f"a {{}} on the {end} side",
            f"a {{}} at the {end}",
            f"on the {end} is a {{}}",
        )
        yield "place", said(*words), row, {int(right)}, {}
    order = np.argsort(xs)
    number = int(rng.integers(1, min(count, 4) + 1))
    ordinal = ORDINALS[number - 1]
    yield (
        "order",
        said(f"the {ordinal} {{}} from the left", f"{{}} {ordinal} from left"),
        row,
        {int(order[number - 1])},
        {},
    )
    words = (f"the {ordinal} {{}} from the right", f"a {{}} is the {ordinal} from the right")
    yield "order", said(*words), row, {int(order[-number])}, {}

    scales = 1.35 ** rng.permutation(count)
    sizes = [box((x, y), (18 * s, 18 * s), camera) for x, y, s in zip(xs, ys, scales, strict=True)]
    yield "size", said("the largest {}", "the biggest {} of them"), sizes, {int(scales.argmax())}, {}
    yield "size", said("the smallest {}", "smallest {} in the group"), sizes, {int(scales.argmin())}, {}
    tall = [box((x, y), (24, 20 * s), camera) for x, y, s in zip(xs, ys, scales, strict=True)]
    yield "size", said("the tallest {}"), tall, {int(scales.argmax())}, {}

    headings = {"left": (-3, 0), "right": (3, 0), "up": (0, -3), "down": (0, 3)}
    goes, (way, step) = int(rng.integers(count)), list(headings.items())[rng.integers(4)]
    rivals = [step if i == goes else (-step[0], -step[1]) for i in range(count)]
    ways = [box((x, y), (side, side), camera, step=one) for x, y, one in zip(xs, ys, rivals, strict=True)]
    words = (
        f"a {{}} moving {'to the ' if way in ('left', 'right') else ''}{way}",
        f"the {{}} is going {way}wards",
    )
    yield "motion", said(*words), ways, {goes}, {}
    alone = [
        box((x, y), (side, side), camera, step=(3, 1) if i == goes else (0, 0))
        for i, (x, y) in enumerate(zip(xs, ys, strict=True))
    ]
    yield "motion", said("a {} running", "the {} that is moving"), alone, {goes}, {}
    rest = [
        box((x, y), (side, side), camera, step=(0, 0) if i == goes else (3, 1))
        for i, (x, y) in enumerate(zip(xs, ys, strict=True))
    ]
    yield "motion", said("a {} standing", "the parked {}", "the stationary {}"), rest, {goes}, {}
    speeds = rng.permutation(count) + 1.0
    race = [
        box((x, y), (side, side), camera, step=(2 * s, 0)) for x, y, s in zip(xs, ys, speeds, strict=True)
    ]
    yield "motion", said("the fastest {}"), race, {int(speeds.argmax())}, {}
    grows = [
        box((x, y), (side, side), camera, grow=0.03 if i == goes else -0.02)
        for i, (x, y) in enumerate(zip(xs, ys, strict=True))
    ]
    yield "motion", said("a {} coming toward the camera", "the {} moving towards us"), grows, {goes}, {}

    lamp = box((xs[0] + rng.choice([-45, 45]), ys[0]), (20, 20), camera)
    lamps = {"the lamp": [lamp]}
    near = int(
        np.argmin(
            [np.hypot(x - lamp.centres[0, 0], y - lamp.centres[0, 1]) for x, y in zip(xs, ys, strict=True)]
        )
    )
    yield "relation", said("a {} next to the lamp", "the {} beside the lamp"), row, {near}, lamps
    middle = float(np.sort(xs)[:2].mean())
    lamps = {"the lamp": [box((middle, 120), (20, 20), camera)]}
    yield (
        "relation",
        said("the {} to the left of the lamp", "a {} left of the lamp"),
        row,
        {int(xs.argmin())},
        lamps,
    )
    pair = [row[int(order[0])], row[int(order[-1])]]
    yield "relation", said("a {} to the left of another", "the {} to the left of another {}"), pair, {0}, {}

    late = [
        box((x, y), (side, side), camera, seen=(4, FRAMES) if i == goes else (0, FRAMES))
        for i, (x, y) in enumerate(zip(xs, ys, strict=True))
    ]
    yield "time", said("a {} entering the frame", "the {} that enters"), late, {goes}, {}
    gone = [
        box((x, y), (side, side), camera, seen=(0, 7) if i == goes else (0, FRAMES))
        for i, (x, y) in enumerate(zip(xs, ys, strict=True))
    ]
    yield "time", said("a {} leaving the frame", "the {} that leaves"), gone, {goes}, {}
    if count > 2:
        yield "number", said("two {}s on the left"), row, set(order[:2].tolist()), {}


def real(folder: Path) -> Iterator[Question]:
    """Questions about one sequence and copies of its object."""
    masks = np.stack([np.array(Image.open(path).convert("L")) > 0 for path in sorted(folder.glob("*.png"))])
    frames = sorted((folder.parents[2] / "JPEGImages" / "480p" / folder.name).glob("*.jpg"))[: len(masks)]
    greys = [grey(np.array(Image.open(path).convert("RGB"))) for path in frames]
    steps = [shift(flows(a, b)[0], things) for a, b, things in zip(greys, greys[1:], masks, strict=False)]
    camera = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    size = (masks.shape[1], masks.shape[2])

    def moved(by: NDArray[np.float64], scale: float = 1) -> NDArray[np.bool_]:
        """The first mask's place in each frame, shifted by (T, 2) px."""
        return np.stack([copied(masks[0], step, scale) for step in by])

    def copied(mask: NDArray[np.bool_], step: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
        ys, xs = np.nonzero(mask)
        middle = np.array([xs.mean(), ys.mean()])
        matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float64)
        matrix[:, 2] = middle * (1 - scale) + step
        return cv2.warpAffine(mask.astype(np.uint8), matrix, size[::-1], flags=cv2.INTER_NEAREST) > 0

    own = Candidate.of_masks(masks, camera)
    mirrored = Candidate.of_masks(masks[:, :, ::-1], camera)
    x = float(np.nanmean(own.centres[:, 0]))
    if abs(x - size[1] / 2) > 0.02 * size[1]:
        left = 0 if x < size[1] / 2 else 1
        yield "place", "the thing on the left", [own, mirrored], {left}, {}
        yield "place", "the thing on the right side", [own, mirrored], {1 - left}, {}
        yield "order", "the second thing from the left", [own, mirrored], {1 - left}, {}
    for scale in (0.7, 1.3):
        other = Candidate.of_masks(np.stack([copied(mask, np.zeros(2), scale) for mask in masks]), camera)
        yield "size", "the larger one", [own, other], {int(scale > 1)}, {}
        yield "size", "the smallest thing", [own, other], {int(scale < 1)}, {}
    for dx, side in ((-80, 1), (80, 0)):
        other = Candidate.of_masks(np.stack([copied(mask, np.array([dx, 0.0]), 1) for mask in masks]), camera)
        yield "place", "the thing on the left", [own, other], {side}, {}
    # Its own way, by matched corners and not by flow, tells the truth of what moves where.
    way = matched_way(greys, masks)
    if np.abs(way) > 0.1 * np.sqrt(masks[0].sum()):
        heading = "right" if way > 0 else "left"
        still = Candidate.of_masks(moved(camera), camera)
        yield "motion", "the thing that is moving", [still, own], {1}, {}
        yield "motion", "the stationary thing", [own, still], {1}, {}
        yield "motion", f"the one moving to the {heading}", [still, own], {1}, {}


def matched_way(greys: Sequence[NDArray[np.uint8]], masks: NDArray[np.bool_]) -> float:
    """How far the object has moved to the right in the scene, in px, from the first to the last frame.

    That is its mask's way less that of corners outside it, which are tracked and fitted by a similarity.
    """
    way = 0.0
    for t in range(len(masks) - 1):
        outside = (~cv2.dilate(masks[t].astype(np.uint8), np.ones((15, 15))).astype(bool)).astype(np.uint8)
        corners = cv2.goodFeaturesToTrack(greys[t], 400, 0.01, 8, mask=outside)
        found, status, _ = cv2.calcOpticalFlowPyrLK(greys[t], greys[t + 1], corners, None)
        good = status[:, 0] == 1
        matrix, _ = cv2.estimateAffinePartial2D(corners[good], found[good])
        (ya, xa), (_, xb) = np.nonzero(masks[t]), np.nonzero(masks[t + 1])
        expected = matrix @ np.array([xa.mean(), ya.mean(), 1])
        way += float(xb.mean() - expected[0])
    return way


def ask(questions: Iterator[Question], size: tuple[int, int]) -> dict[str, list[tuple[bool, float, str]]]:
    """By kind: whether the right ones were chosen, what chance would give, and the expression."""
    told: dict[str, list[tuple[bool, float, str]]] = defaultdict(list)
    for kind, expression, candidates, right, others in questions:
        reading = read(expression)
        found = choose(candidates, reading.clues, size, others=others)
        ways = len(candidates) if len(right) == 1 else len(candidates) * (len(candidates) - 1) / 2
        told[kind].append((set(found.chosen) == right, 1 / ways, expression))
    return told


def show(title: str, told: dict[str, list[tuple[bool, float, str]]]) -> None:
    print(f"\n| {title} | questions | right | by chance |\n|---|---|---|---|")
    for kind, answers in told.items():
        right, chance = np.mean([one for one, _, _ in answers]), np.mean([one for _, one, _ in answers])
        print(f"| {kind} | {len(answers)} | {right:.1%} | {chance:.1%} |")
    wrong = sorted({text for answers in told.values() for right, _, text in answers if not right})
    if wrong:
        print("\nwrong:", "; ".join(wrong[:12]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--sequences", type=Path)
    options = parser.parse_args()
    show("generated", ask((one for seed in range(options.clips) for one in generated(seed)), SIZE))
    if options.sequences is not None:
        folders = sorted((options.sequences / "Annotations" / "480p").iterdir())
        show("real sequences", ask((one for folder in folders for one in real(folder)), (480, 854)))


if __name__ == "__main__":
    main()
