"""How often a whole run segments the right one of several things of one name, with `carvid.words` and without.

    python scripts/measure_words_run.py [--clips 24]

Draws clips of 12 frames with two to four things of one name and one of another, asks about them in the wording of real
lists, slips included, and runs the embedded model with the preset `shapes`, with --words and with --no-words. All are
found where the masks of what CLIP is asked cover half of each thing in most frames. What a run has chosen is each
thing of which its masks cover at least half as much as of the one they cover most. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from carvid.engines import run_session
from carvid.frame import Frame
from carvid.loading import load_model
from carvid.measures.pair import boundary_f, iou
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.shapes.scenes import COLOURS, SHAPES, Thing, draw_background, draw_scene, random_thing
from carvid.video_session import open_session
from carvid.words.queries import Expressions

HEIGHT, WIDTH, FRAMES = 240, 426, 12
FIRST_SEED = 3_000_000
ORDINALS = ("first", "second", "third", "forth")
# px between the middles of two things, and from the picture's sides.
APART, MARGIN = 84.0, 44.0

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Question:
    """right: which things of the name are meant."""

    kind: str
    expression: str
    right: tuple[int, ...]


class Clip:
    """Two to four things of one name, well apart, and one of another name; each moves by its own step.

    things: those of the name; the other thing is last in `masks`, (FRAMES, N, H, W) bool.
    """

    def __init__(self, seed: int, steps: str) -> None:
        """steps: how the things move: still; all; one, of them alone; enters, one that comes into the picture."""
        rng = np.random.default_rng(seed)
        self.rng, self.count = rng, int(rng.integers(2, 5))
        colour, other = rng.choice(list(COLOURS), 2, replace=False)
        shape, unlike = rng.choice(SHAPES, 2, replace=False)
        self.name, self.other_name = f"{colour} {shape}", f"{other} {unlike}"
        spots = self._spots(self.count + 1)
        sides = 0.09 * 1.3 ** rng.permutation(self.count + 1)
        background, grounds = draw_background(rng, HEIGHT, WIDTH)
        like = random_thing(rng, HEIGHT, WIDTH, str(colour), str(shape), 0.1, 0.1)
        things = [
            replace(like, x_px=float(x), y_px=float(y), radius_px=float(side) * HEIGHT)
            for (x, y), side in zip(spots[:-1], sides, strict=False)
        ]
        last = random_thing(rng, HEIGHT, WIDTH, str(other), str(unlike), 0.12, 0.12)
        self.things = [*things, replace(last, x_px=float(spots[-1][0]), y_px=float(spots[-1][1]))]
        self.one = int(rng.integers(self.count))
        self.steps = np.zeros((self.count + 1, 2))
        if steps == "all":
            angle = rng.permutation(self.count) * 2 * np.pi / self.count + rng.uniform(0, 2 * np.pi)
            self.steps[:-1] = np.stack([np.cos(angle), np.sin(angle)], 1) * 1.5
        elif steps == "one":
            self.steps[self.one] = (1.8 * rng.choice([-1, 1]), 0)
        elif steps == "enters":
            # From the nearer side to its place.
            one, x = self.things[self.one], float(spots[self.one][0])
            start = -1.1 * one.radius_px if 2 * x < WIDTH else WIDTH + 1.1 * one.radius_px
            self.things[self.one] = replace(one, x_px=start)
            self.steps[self.one] = ((x - start) / (FRAMES - 1), 0)
        self.frames, masks = [], []
        for t in range(FRAMES):
            scene = draw_scene(background, grounds, tuple(self._at(t)))
            self.frames.append(Frame(t, t / 10, scene.image, f"{t:05d}"))
            masks.append(scene.masks)
        self.masks = np.stack(masks)

    def _spots(self, count: int) -> NDArray[np.float64]:
        """(count, 2) px, x and y: apart in the plane, and in each direction for the order to be clear."""
        while True:
            low, high = (MARGIN, MARGIN), (WIDTH - MARGIN, HEIGHT - MARGIN)
            spots = self.rng.uniform(low, high, (count, 2))
            gaps = np.linalg.norm(spots[:, None] - spots[None], axis=2) + 1e3 * np.eye(count)
            own = np.sort(spots[:-1], axis=0)
            if gaps.min() > APART and (np.diff(own, axis=0) > 24).all():
                return spots

    def _at(self, t: int) -> Iterator[Thing]:
        for thing, (dx, dy) in zip(self.things, self.steps, strict=True):
            yield replace(thing, x_px=thing.x_px + t * dx, y_px=thing.y_px + t * dy)

    def ask(self, kind: str, wordings: Sequence[str], *right: int) -> Question:
        words = str(self.rng.choice(np.array(wordings)))
        said = words.replace("{}", self.name).replace("[]", self.other_name)
        return Question(kind, said, tuple(int(i) for i in right))


def still(clip: Clip) -> Iterator[Question]:
    """About places, orders and sizes, numbers and relations, where nothing moves."""
    own = clip.things[: clip.count]
    xs, ys = np.array([one.x_px for one in own]), np.array([one.y_px for one in own])
    sizes = np.array([one.radius_px for one in own])
    for side, right in (
        ("left", xs.argmin()),
        ("right", xs.argmax()),
        ("top", ys.argmin()),
        ("bottom", ys.argmax()),
    ):
        words = [f"the {{}} on the {side}", f"a {{}} at the {side}", f"on the {side} is a {{}}"]
        if side in ("left", "right"):
            words = [f"the {{}} on the {side}", f"a {{}} on the {side}side", f"a {{}} at the {side} side"]
        yield clip.ask("place", words, right)
    for side, ranks in (("left", xs.argsort()), ("right", (-xs).argsort()), ("top", ys.argsort())):
        number = int(clip.rng.integers(clip.count))
        words = [f"the {ORDINALS[number]} {{}} from the {side}", f"{{}} {ORDINALS[number]} from {side}"]
        yield clip.ask("order", words, ranks[number])
    yield clip.ask("size", ["the largest {}", "the biggest {} of them"], sizes.argmax())
    yield clip.ask("size", ["the smallest {}", "smallest {} in the group"], sizes.argmin())
    other = clip.things[-1]
    # A relation has one answer where only one thing lies well to that side of the other.
    for value, ways in (
        ("to the left of", other.x_px - xs),
        ("to the right of", xs - other.x_px),
        ("above", other.y_px - ys),
        ("below", ys - other.y_px),
    ):
        if np.count_nonzero(ways > 30) == 1 and np.count_nonzero(ways > -10) == 1:
            yield clip.ask("relation", [f"the {{}} {value} the []", f"a {{}} {value} the []"], ways.argmax())
    gaps = np.sort(np.hypot(xs - other.x_px, ys - other.y_px))
    if gaps[1] - gaps[0] > 60:
        yield clip.ask(
            "relation", ["the {} next to the []"], np.hypot(xs - other.x_px, ys - other.y_px).argmin()
        )
    if clip.count > 2:
        order = xs.argsort()
        yield clip.ask("number", ["two {}s on the left", "2 {}s on the left"], *order[:2])
        yield clip.ask("number", ["both {}s on the right"], *order[-2:])
    if clip.count > 3:
        yield clip.ask("number", ["three {}s on the right side"], *order[-3:])


def moving(clip: Clip) -> Iterator[Question]:
    """About directions, where each moves its own way."""
    steps = clip.steps[:-1]
    for way, ahead in (
        ("to the left", -steps[:, 0]),
        ("to the right", steps[:, 0]),
        ("up", -steps[:, 1]),
        ("down", steps[:, 1]),
    ):
        # One that moves so has to stand out.
        speeds = np.sort(ahead)
        if speeds[-1] - speeds[-2] > 0.5:
            yield clip.ask(
                "motion", [f"the {{}} moving {way}", f"a {{}} which is moving {way}"], ahead.argmax()
            )


def one_moves(clip: Clip) -> Iterator[Question]:
    """About motion, where one thing moves and the others stand."""
    yield clip.ask("motion", ["the {} that is moving", "a moving {}", "the fastest {}"], clip.one)
    if clip.count == 2:
        yield clip.ask("motion", ["the stationary {}", "a {} standing still"], 1 - clip.one)


def enters(clip: Clip) -> Iterator[Question]:
    """About who comes into the picture, where the others are there from the first frame on."""
    yield clip.ask(
        "time",
        ["the {} entering the scene", "a {} that enters the picture", "the {} coming into view"],
        clip.one,
    )


def run(model: Model, clip: Clip, expression: str, *, words: bool) -> Bools:
    """The masks (FRAMES, H, W) bool of a run."""
    recipe = replace(model.recipe, words=words)
    with closing(open_session(model.session, [expression], recipe)) as session:
        return np.stack([result.masks[0] for result in run_session(session, clip.frames)])


def are_found(masks: Bools, things: Bools) -> bool:
    """Whether the masks (FRAMES, H, W) cover half of each of the things (FRAMES, N, H, W) in most frames."""
    areas = things.sum((2, 3))
    covered = (masks[:, None] & things).sum((2, 3)) > areas / 2
    return bool((covered.sum(0) > (areas > 0).sum(0) / 2).all())


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole runs with words and without.")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--kind", help="ask about this kind of clue alone")
    parser.add_argument("--show", action="store_true", help="print every question that is answered wrongly")
    options = parser.parse_args()
    model = load_model(load_recipe("shapes"))
    rows: dict[str, list[tuple[bool, list[tuple[bool, float]]]]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.clips):
        for steps, questions in (("still", still), ("all", moving), ("one", one_moves), ("enters", enters)):
            clip = Clip(seed, steps)
            asked = [one for one in questions(clip) if options.kind in (None, one.kind)]
            if not asked:
                continue
            own, other = clip.masks[:, :-1], clip.masks[:, -1:]
            known: dict[str, bool] = {}
            for question in asked:
                head, *others = Expressions.of([question.expression]).asked
                for text, things in ((head, own), *((one, other) for one in others)):
                    if text not in known:
                        known[text] = are_found(run(model, clip, text, words=False), things)
                found = all(known[text] for text in (head, *others))
                truth = clip.masks[:, list(question.right)].any(1)
                told = []
                for words in (True, False):
                    masks = run(model, clip, question.expression, words=words)
                    inner = [int((masks & clip.masks[:, i]).sum()) for i in range(clip.count)]
                    areas = clip.masks[:, : clip.count].sum((0, 2, 3))
                    covered = np.array(inner) / areas
                    is_right = covered.max() > 0 and set(np.flatnonzero(covered > covered.max() / 2)) == set(
                        question.right
                    )
                    jf = np.mean(
                        [(iou(m, t) + boundary_f(m, t)) / 2 for m, t in zip(masks, truth, strict=True)]
                    )
                    told.append((is_right, float(jf)))
                if options.show and found and not told[0][0]:
                    print(seed, steps, question, told)
                rows.setdefault(question.kind, []).append((found, told))
    print("| kind | questions | all found | right, with words | without | J&F, with words | without |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    every = [row for each in rows.values() for row in each]
    for kind, each in (*rows.items(), ("all", every)):
        where = [told for found, told in each if found]
        right = [f"{np.mean([told[i][0] for told in where]):.1%}" for i in (0, 1)]
        jf = [f"{np.mean([told[i][1] for _, told in each]):.3f}" for i in (0, 1)]
        print(f"| {kind} | {len(each)} | {len(where)} | {' | '.join(right)} | {' | '.join(jf)} |")


if __name__ == "__main__":
    main()
