"""How often `carvid.words` chooses the right thing, where the things are known.

    python scripts/measure_words.py [--clips 60] [--sequences DAVIS]

Generated: masks of things of one name at stated places, of stated sizes and motions, under a camera that pans in every
other clip, and expressions with the truth, in the wording of real lists, slips included. Real: sequences of DAVIS
(JPEGImages/480p and Annotations/480p, one object each) with a mirrored, a smaller, a larger and a shifted copy of the
annotation's mask, and one that stands still in the scene, as rivals. There the camera's motion is that of the pictures,
by optical flow. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from carvid.motion.camera import after, camera_step
from carvid.motion.flow import flows, grey
from carvid.words import Candidate, Clue, choose, read

SIZE = (240, 426)
FRAMES = 12
NAMES = ("dog", "car", "horse", "boat", "man")
ORDINALS = ("first", "second", "third", "forth")
SIDE = 30.0


@dataclass(frozen=True)
class Question:
    """kind and value: of the clue that it is about. right: the numbers of the candidates that are meant. others: what a
    relation is to."""

    kind: str
    value: str
    expression: str
    candidates: Sequence[Candidate]
    right: set[int]
    others: Mapping[str, Sequence[Candidate]] = field(default_factory=dict)


class Clip:
    """2 to 4 things of one name, apart from each other, under a camera that pans where the seed is odd."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.name, self.count = str(self.rng.choice(NAMES)), int(self.rng.integers(2, 5))
        self.camera = np.arange(FRAMES)[:, None] * self.rng.uniform(-3, 3, 2) * (seed % 2)
        self.xs, self.ys = self.apart(60, 360, 45), self.apart(50, 190, 25)
        self.one = int(self.rng.integers(self.count))

    def apart(self, low: float, high: float, least: float) -> NDArray[np.float64]:
        """A number between low and high for each thing, at least `least` apart, in no order."""
        while True:
            values = self.rng.uniform(low, high, self.count)
            if np.diff(np.sort(values)).min() >= least:
                return values

    def thing(
        self,
        spot: Sequence[float],
        sides: Sequence[float] = (SIDE, SIDE),
        *,
        step: Sequence[float] = (0, 0),
        grow: float = 0,
        seen: tuple[int, int] = (0, FRAMES),
    ) -> Candidate:
        """An ellipse that moves by `step` px a frame of its own, and grows by the share `grow`."""
        masks = np.zeros((FRAMES, *SIZE), np.uint8)
        for t in range(*seen):
            x, y = np.array(spot) + np.array(step) * t + self.camera[t]
            width, height = np.array(sides) * (1 + grow) ** t
            cv2.ellipse(masks[t], ((float(x), float(y)), (float(width), float(height)), 0.0), 1, -1)
        return Candidate.of_masks(masks > 0, self.camera)

    def things(self, **each: Sequence[Any]) -> list[Candidate]:
        """Each argument of `thing` as a list, a value for each."""
        rows = ({name: values[i] for name, values in each.items()} for i in range(self.count))
        spots = zip(self.xs, self.ys, strict=True)
        return [self.thing(**{"spot": spot, **row}) for spot, row in zip(spots, rows, strict=True)]

    def ask(
        self,
        kind: str,
        value: str,
        wordings: Sequence[str],
        candidates: Sequence[Candidate],
        right: Iterable[int],
        **others: Sequence[Candidate],
    ) -> Question:
        """The question in one of the wordings, with the name in place of {}."""
        said = str(self.rng.choice(np.array(wordings))).replace("{}", self.name)
        known = {f"the {name}": things for name, things in others.items()}
        return Question(kind, value, said, candidates, {int(i) for i in right}, known)

    def unlike(self, this: Any, rest: Any) -> list[Any]:
        """`this` for one thing, and `rest` for the others."""
        return [this if i == self.one else rest for i in range(self.count)]


def places(clip: Clip) -> Iterator[Question]:
    row, xs, ys = clip.things(), clip.xs, clip.ys
    ends = {"left": xs.argmin(), "right": xs.argmax(), "top": ys.argmin(), "bottom": ys.argmax()}
    ends["middle"] = np.abs(xs + clip.camera[:, 0].mean() - SIZE[1] / 2).argmin()
    for end, right in ends.items():
        words = [f"the {{}} on the {end}", f"a {{}} at the {end}", f"in the {end} is a {{}}"]
        if end in ("left", "right"):
            words = [f"the {{}} on the {end}", f"a {{}} on the {end}side", f"on the {end} is a {{}}"]
        yield clip.ask("place", end, words, row, [right])
    # What is nearer stands lower, and is larger.
    deep = clip.things(sides=[(y / 3, y / 3) for y in ys])
    yield clip.ask("place", "front", ["the {} in front", "a {} in the foreground"], deep, [ys.argmax()])
    yield clip.ask("place", "back", ["the {} in the back", "a {} in the background"], deep, [ys.argmin()])


def orders(clip: Clip) -> Iterator[Question]:
    row = clip.things()
    for side, ranked in (("left", clip.xs), ("right", -clip.xs), ("top", clip.ys), ("bottom", -clip.ys)):
        number = int(clip.rng.integers(clip.count))
        words = [f"the {ORDINALS[number]} {{}} from the {side}", f"{{}} {ORDINALS[number]} from {side}"]
        yield clip.ask("order", side, words, row, [ranked.argsort()[number]])
    yield clip.ask("order", "left", ["the leftmost {}", "left most {}"], row, [clip.xs.argmin()])


def sizes(clip: Clip) -> Iterator[Question]:
    scales = 1.35 ** clip.rng.permutation(clip.count)
    square = clip.things(sides=[(16 * s, 16 * s) for s in scales])
    tall = clip.things(sides=[(20, 18 * s) for s in scales])
    long = clip.things(sides=[(22 * s, 12) for s in scales])
    yield clip.ask("size", "largest", ["the largest {}", "the biggest {} of them"], square, [scales.argmax()])
    yield clip.ask(
        "size", "smallest", ["the smallest {}", "smallest {} in the group"], square, [scales.argmin()]
    )
    yield clip.ask("size", "tallest", ["the tallest {}"], tall, [scales.argmax()])
    yield clip.ask("size", "shortest", ["the shortest {}"], tall, [scales.argmin()])
    yield clip.ask("size", "longest", ["the longest {}"], long, [scales.argmax()])
    pair, sides = (
        [square[scales.argmin()], square[scales.argmax()]],
        np.sqrt(scales.min() * scales.max()) * 16,
    )
    ferry = [clip.thing((213, 120), (sides, sides))]
    yield clip.ask(
        "size",
        "larger",
        ["a {} bigger than the ferry", "the {} larger than the ferry"],
        pair,
        [1],
        ferry=ferry,
    )
    yield clip.ask("size", "smaller", ["a {} smaller than the ferry"], pair, [0], ferry=ferry)


def motions(clip: Clip) -> Iterator[Question]:
    one = [clip.one]
    for way, (dx, dy) in {"left": (-3, 0), "right": (3, 0), "up": (0, -3), "down": (0, 3)}.items():
        ways = clip.things(step=clip.unlike((dx, dy), (-dx, -dy)))
        side = f"to the {way}" if dy == 0 else way
        yield clip.ask("motion", way, [f"a {{}} moving {side}", f"the {{}} is going {way}wards"], ways, one)
    goes, stays = clip.things(step=clip.unlike((3, 1), (0, 0))), clip.things(step=clip.unlike((0, 0), (3, 1)))
    yield clip.ask("motion", "moving", ["a {} running", "the {} that is moving"], goes, one)
    yield clip.ask("motion", "still", ["a {} standing", "the parked {}", "the stationary {}"], stays, one)
    speeds = clip.rng.permutation(clip.count) + 1.0
    race = clip.things(step=[(1.5 * s, 0) for s in speeds])
    yield clip.ask("motion", "fastest", ["the fastest {}"], race, [speeds.argmax()])
    yield clip.ask("motion", "slowest", ["the slowest {}"], race, [speeds.argmin()])
    nearer = clip.things(grow=clip.unlike(0.03, -0.02))
    farther = clip.things(grow=clip.unlike(-0.03, 0.02))
    words = ["a {} coming toward the camera", "the {} moving towards us"]
    yield clip.ask("motion", "toward", words, nearer, one)
    yield clip.ask(
        "motion", "away", ["a {} driving away from the camera", "the {} moving away"], farther, one
    )
    turning = [(clip.xs[i], clip.ys[i]) for i in range(clip.count)]
    half = FRAMES // 2
    bend = np.concatenate(
        [np.arange(half)[:, None] * [4, 0], (half * np.array([4, 0])) + np.arange(half)[:, None] * [0, 4]]
    )
    turns = clip.things(step=[(4, 0)] * clip.count)
    camera = clip.camera
    clip.camera = camera + bend
    bent = clip.thing(turning[clip.one])
    clip.camera = camera
    turns[clip.one] = Candidate(bent.boxes, bent.areas, camera)
    yield clip.ask("motion", "turning", ["a {} turning", "the {} which is turning around"], turns, one)


def relations(clip: Clip) -> Iterator[Question]:
    row, xs, ys = clip.things(), clip.xs, clip.ys
    # Touching one of them.
    beside = [clip.thing((xs[clip.one] + 25, ys[clip.one]), (20, 20))]
    gaps = np.hypot(xs - xs[clip.one] - 25, ys - ys[clip.one])
    if np.sort(gaps)[1] > 45:
        yield clip.ask(
            "relation",
            "next to",
            ["a {} next to the lamp", "the {} beside the lamp"],
            row,
            [clip.one],
            lamp=beside,
        )
    by_x, by_y = np.sort(xs)[:2].mean(), np.sort(ys)[:2].mean()
    lamp = [clip.thing((by_x, 120), (20, 20))]
    yield clip.ask(
        "relation",
        "left of",
        ["the {} to the left of the lamp", "a {} left of the lamp"],
        row,
        [xs.argmin()],
        lamp=lamp,
    )
    lamp = [clip.thing((np.sort(xs)[-2:].mean(), 120), (20, 20))]
    yield clip.ask("relation", "right of", ["the {} to the right of the lamp"], row, [xs.argmax()], lamp=lamp)
    lamp = [clip.thing((213, by_y), (20, 20))]
    yield clip.ask("relation", "above", ["the {} above the lamp"], row, [ys.argmin()], lamp=lamp)
    lamp = [clip.thing((213, np.sort(ys)[-2:].mean()), (20, 20))]
    yield clip.ask(
        "relation",
        "below",
        ["the {} below the lamp", "a {} underneath the lamp"],
        row,
        [ys.argmax()],
        lamp=lamp,
    )
    order = xs.argsort()
    pair = [row[order[0]], row[order[-1]]]
    yield clip.ask(
        "relation", "another", ["a {} to the left of another", "the {} to the left of another {}"], pair, [0]
    )
    outer = [clip.thing((x, 120), (20, 20)) for x in (150, 250)]
    spots = [(200, 118), (60, 120), (340, 122)]
    inner = [clip.thing(spot) for spot in spots]
    yield clip.ask("relation", "between", ["a {} between the lamps"], inner, [0], lamps=outer)
    cart = [clip.thing((200, 120), step=(3, 0))]
    bikes = [clip.thing((x, 120), step=(3, 0)) for x in (130, 270)]
    yield clip.ask(
        "relation",
        "following",
        ["a {} following the cart"],
        bikes,
        [0],
        cart=cart,
    )
    yield clip.ask("relation", "leading", ["the {} leading the cart"], bikes, [1], cart=cart)
    cart = [clip.thing((200, 120), (40, 40))]
    near = [clip.thing((200, 80), (20, 20)), clip.thing((205, 165), (60, 60))]
    yield clip.ask(
        "relation",
        "in front of",
        ["the {} in front of the cart", "a {} infront of the cart"],
        near,
        [1],
        cart=cart,
    )
    yield clip.ask("relation", "behind", ["the {} behind the cart"], near, [0], cart=cart)


def times(clip: Clip) -> Iterator[Question]:
    one, whole = [clip.one], (0, FRAMES)
    late, gone = (
        clip.things(seen=clip.unlike((4, FRAMES), whole)),
        clip.things(seen=clip.unlike((0, 7), whole)),
    )
    yield clip.ask("time", "enters", ["a {} entering the frame", "the {} that enters"], late, one)
    yield clip.ask("time", "leaves", ["a {} leaving the frame", "the {} that leaves"], gone, one)
    starts = clip.rng.permutation(clip.count) * 2
    come = clip.things(seen=[(int(start), FRAMES) for start in starts])
    yield Question("time", "last", "", come, {int(starts.argmax())})
    yield Question("time", "first", "", come, {int(starts.argmin())})


def numbers(clip: Clip) -> Iterator[Question]:
    row, order = clip.things(), clip.xs.argsort()
    yield clip.ask("number", "all", ["all the {}s", "all {}s"], row, range(clip.count))
    if clip.count > 2:
        yield clip.ask("number", "2", ["two {}s on the left", "2 {}s on the left"], row, order[:2])
        yield clip.ask("number", "both", ["both {}s on the right"], row, order[-2:])
    if clip.count > 3:
        yield clip.ask("number", "3", ["three {}s on the right side"], row, order[-3:])


def generated(seed: int) -> Iterator[Question]:
    """Questions of every sort about one clip."""
    for kind in (places, orders, sizes, motions, relations, times, numbers):
        yield from kind(Clip(seed))


def real(folder: Path) -> Iterator[Question]:
    """Questions about one sequence and copies of its object."""
    masks = np.stack([np.array(Image.open(path).convert("L")) > 0 for path in sorted(folder.glob("*.png"))])
    frames = sorted((folder.parents[2] / "JPEGImages" / "480p" / folder.name).glob("*.jpg"))[: len(masks)]
    greys = [grey(np.array(Image.open(path).convert("RGB"))) for path in frames]
    ways = [np.array([0.0, 0.0, 1.0])]
    for a, b, things in zip(greys, greys[1:], masks, strict=False):
        ways.append(after(ways[-1], camera_step(flows(a, b)[0], things)))
    camera, zoom = np.stack(ways)[:, :2], np.stack(ways)[:, 2]
    size = (masks.shape[1], masks.shape[2])

    def of(masks: NDArray[np.bool_]) -> Candidate:
        return Candidate.of_masks(masks, camera, zoom)

    def in_scene() -> NDArray[np.bool_]:
        """The first mask where it would be in each frame if it stood still in the scene."""
        return np.stack([warped(masks[0], way[2], way[:2]) for way in ways])

    def copied(mask: NDArray[np.bool_], step: NDArray[np.float64], scale: float) -> NDArray[np.bool_]:
        """Shifted, and scaled around its middle."""
        ys, xs = np.nonzero(mask)
        return warped(mask, scale, np.array([xs.mean(), ys.mean()]) * (1 - scale) + step)

    def warped(mask: NDArray[np.bool_], scale: float, step: NDArray[np.float64]) -> NDArray[np.bool_]:
        matrix = np.array([[scale, 0, step[0]], [0, scale, step[1]]], np.float64)
        return cv2.warpAffine(mask.astype(np.uint8), matrix, size[::-1], flags=cv2.INTER_NEAREST) > 0

    own = of(masks)
    mirrored = of(masks[:, :, ::-1])
    x = float(np.nanmean(own.centres[:, 0]))
    if abs(x - size[1] / 2) > 0.02 * size[1]:
        left = 0 if x < size[1] / 2 else 1
        yield Question("place", "", "the thing on the left", [own, mirrored], {left})
        yield Question("place", "", "the thing on the right side", [own, mirrored], {1 - left})
        yield Question("order", "", "the second thing from the left", [own, mirrored], {1 - left})
    for scale in (0.7, 1.3):
        other = of(np.stack([copied(mask, np.zeros(2), scale) for mask in masks]))
        yield Question("size", "", "the larger one", [own, other], {int(scale > 1)})
        yield Question("size", "", "the smallest thing", [own, other], {int(scale < 1)})
    for dx, side in ((-80, 1), (80, 0)):
        other = of(np.stack([copied(mask, np.array([dx, 0.0]), 1) for mask in masks]))
        yield Question("place", "", "the thing on the left", [own, other], {side})
    # Its own way, by matched corners and not by flow, tells the truth of what moves where.
    way = matched_way(greys, masks)
    if np.abs(way) > 0.1 * np.sqrt(masks[0].sum()):
        heading = "right" if way > 0 else "left"
        still = of(in_scene())
        yield Question("motion", "", "the thing that is moving", [still, own], {1})
        yield Question("motion", "", "the stationary thing", [own, still], {1})
        yield Question("motion", "", f"the one moving to the {heading}", [still, own], {1})


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


@dataclass(frozen=True)
class Answer:
    """right: whether those that are meant were chosen. chance: how likely that is without the words."""

    question: Question
    right: bool
    chance: float


def answered(questions: Iterable[Question], size: tuple[int, int]) -> Iterator[Answer]:
    for one in questions:
        # "first" and "last" by themselves have no wording that the reader knows.
        clues = read(one.expression).clues if one.expression else (Clue(one.kind, one.value, one.value),)
        found = choose(one.candidates, clues, size, others=one.others)
        # Which ones are meant is guessed, how many is known.
        ways = comb(len(one.candidates), len(one.right))
        yield Answer(one, set(found.chosen) == one.right, 1 / ways)


def show(title: str, answers: Sequence[Answer]) -> None:
    print(f"\n| {title} | questions | right | by chance | least right |\n|---|--:|--:|--:|---|")
    for kind in dict.fromkeys(one.question.kind for one in answers):
        of = [one for one in answers if one.question.kind == kind]
        by_value = {
            value: np.mean([one.right for one in of if one.question.value == value])
            for value in dict.fromkeys(one.question.value for one in of)
        }
        worst = min(by_value, key=lambda value: by_value[value])
        right, chance = np.mean([one.right for one in of]), np.mean([one.chance for one in of])
        least = f"{worst} {by_value[worst]:.0%} of {len(by_value)} values" if worst else "-"
        print(f"| {kind} | {len(of)} | {right:.1%} | {chance:.1%} | {least} |")
    wrong = sorted({f"{one.question.expression or one.question.value}" for one in answers if not one.right})
    if wrong:
        print("\nwrong:", "; ".join(wrong[:20]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--sequences", type=Path)
    options = parser.parse_args()
    asked = (one for seed in range(options.clips) for one in generated(seed))
    show("generated", list(answered(asked, SIZE)))
    if options.sequences is not None:
        folders = sorted((options.sequences / "Annotations" / "480p").iterdir())
        asked = (one for folder in folders for one in real(folder))
        show("real sequences", list(answered(asked, (480, 854))))


if __name__ == "__main__":
    main()
