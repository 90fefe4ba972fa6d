"""Choosing through a video: holds a shot's results back until its things are known, then gives what was meant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from carvid.engines import Judge
from carvid.motion.camera import after
from carvid.motion.tracks import MOST, too_many_tracks
from carvid.result import FrameResult, ObjectResult, QueryVerdict
from carvid.words.candidates import Candidate
from carvid.words.choose import Choice, choose
from carvid.words.held import Held, hold
from carvid.words.queries import Expression, Expressions

Bools = NDArray[np.bool_]

HELD = 120
"""A choice is made at the latest when so many frames are held back."""

HELD_BYTES = 256 * 2**20
"""The same for the bytes of their pictures, which wait beside their results."""

REMEMBERED = 1500
"""Things are told apart by what they did in so many frames of their shot."""

# A camera that has not moved.
_STILL = np.array([0.0, 0.0, 1.0])
# A thing is a rival only with this share of the largest one's area, and of the frames of the one seen most.
_RIVAL = 0.1
# A thing is looked at again once it is so much larger.
_GROWN = 1.5
# A judgement counts for so much, as an exponent: g is surer of large things, so that the clues have to outweigh it.
_JUDGED = 1 / 4
# What a judge leaves at least: no judgement alone rules a thing out.
_LEAST = 0.05


#: The ids of the things that an expression means, None for all that was found; and why.
Chosen: TypeAlias = tuple[frozenset[int] | None, Choice | None]


@dataclass
class _Shot:
    """What is known of the things in a shot.

    steps: per frame the things by id, each its left, top, right and bottom edge in px and its area.
    ways: how the camera has moved the picture's content since the first frame, (3,), as
        `carvid.motion.camera.camera_step` tells.
    heads: for each thing the place of what was asked.
    views, scores: by expression, text and thing, the area at which it was judged, and how.
    """

    steps: deque[Mapping[int, tuple[int, int, int, int, int]]] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED)
    )
    ways: deque[NDArray[np.float64]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    heads: dict[int, int] = field(default_factory=dict)
    views: dict[tuple[int, str, int], int] = field(default_factory=dict)
    scores: dict[tuple[int, str, int], float] = field(default_factory=dict)

    def candidates(self, place: int, size: tuple[int, int]) -> dict[int, Candidate]:
        """The things found for what was asked in a place, by id, without those too small or too short to be rivals.

        size: (H, W) of the frames in px.
        """
        found = {}
        ways = np.stack(self.ways)
        for thing, head in self.heads.items():
            if head != place:
                continue
            boxes, areas = np.full((len(self.steps), 4), np.nan), np.zeros(len(self.steps))
            for t, step in enumerate(self.steps):
                if thing in step:
                    *boxes[t], areas[t] = step[thing]
            if areas.any():
                found[thing] = Candidate(boxes, areas, ways[:, :2], ways[:, 2], size)
        areas_px = {thing: float(np.median(one.areas[one.seen])) for thing, one in found.items()}
        frames = {thing: int(one.seen.sum()) for thing, one in found.items()}
        return {
            thing: one
            for thing, one in found.items()
            if areas_px[thing] >= _RIVAL * max(areas_px.values())
            and frames[thing] >= _RIVAL * max(frames.values())
        }

    def forget(self) -> None:
        """Drop what is known of things that no remembered step holds."""
        alive = {thing for step in self.steps for thing in step}
        self.heads = {thing: head for thing, head in self.heads.items() if thing in alive}
        self.views = {key: area for key, area in self.views.items() if key[2] in alive}
        self.scores = {key: score for key, score in self.scores.items() if key[2] in alive}


class Chooser:
    """Turns results for what was asked into results for the expressions. For one video and one thread.

    Memory: the held frames' masks, packed, and the boxes of `REMEMBERED` frames.
    """

    def __init__(
        self,
        expressions: Expressions,
        judge: Callable[[str, Sequence[str]], Judge],
        *,
        causal: bool = False,
        instances: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """judge: as `carvid.engines.EngineSession.judge`. causal: hold no frame back, and choose by the past alone.
        instances: give the chosen tracks in place of one object per expression. tell: is told of each choice, why.

        Raises UsageError as `judge` does.
        """
        self._expressions, self._causal, self._instances, self._tell = expressions, causal, instances, tell
        asked = expressions.asked
        # By expression and text: the whole expression, and what it says that the thing is not.
        self._judges: dict[tuple[int, str], Judge] = {}
        for i, one in enumerate(expressions.each):
            if one.speaks:
                rivals = [text for place, text in enumerate(asked) if place != one.place]
                self._judges[i, one.text] = judge(one.text, rivals)
            for unlike in one.unlike:
                self._judges[i, unlike] = judge(unlike, [asked[one.place]])
        self._shot = _Shot()
        self._held: list[Held] = []
        self._ready: deque[tuple[Held, Sequence[Chosen]]] = deque()
        self._ids: dict[tuple[int, int], int] = {}

    @property
    def queries(self) -> tuple[str, ...]:
        return tuple(one.text for one in self._expressions.each)

    def describe(self) -> Mapping[str, Any]:
        """How the expressions were read, as plain data."""
        return {"expressions": self._expressions.describe()}

    def push(
        self,
        image: NDArray[np.uint8],
        whole: FrameResult,
        tracked: FrameResult,
        camera: NDArray[np.float64] | None,
    ) -> Iterator[FrameResult]:
        """Take the next frame; give the results that are ready, in order.

        image: (H, W, 3) uint8 RGB. whole: one object for each text that was asked. tracked: the same as tracks.
        camera: (3,), how the camera has moved the picture's content since the frame before, as `camera_step` of
        `carvid.motion.camera` tells; None at the first frame of a shot.
        """
        if camera is None:
            yield from self.finish()
            self._shot = _Shot()
        shot, asked = self._shot, self._expressions.asked
        step, masks = {}, {}
        for one in tracked.objects:
            if (box := one.box_xywh) is not None:
                x, y, width, height = box
                step[one.id], masks[one.id] = (x, y, x + width, y + height, one.area_px), one.mask
                shot.heads.setdefault(one.id, asked.index(one.query))
        # An interrupt may come while it looks; what is kept of the frame then comes after.
        self._look(image, {thing: seen[4] for thing, seen in step.items()}, masks)
        shot.ways.append(_STILL if camera is None or not shot.ways else after(shot.ways[-1], camera))
        shot.steps.append(step)
        self._held.append(hold(whole, masks, shot.heads))
        if self._causal or len(self._held) >= min(HELD, max(1, HELD_BYTES // image.nbytes)):
            yield from self.finish()

    def finish(self) -> Iterator[FrameResult]:
        """Choose, and give the results that are held back. If it is cut short, another call goes on."""
        if self._held:
            choices = [self._choice(i) for i in range(len(self._expressions.each))]
            self._ready += [(one, choices) for one in self._held]
            self._held = []
            self._shot.forget()
        while self._ready:
            result = self._result(*self._ready[0])
            self._ready.popleft()
            yield result

    def close(self) -> None:
        """Let go of what is held back."""
        self._held, self._shot = [], _Shot()
        self._ready.clear()

    def _look(self, image: NDArray[np.uint8], areas: Mapping[int, int], masks: Mapping[int, Bools]) -> None:
        """Judge each thing where it is first seen, and again where it is much larger."""
        shot = self._shot
        for (i, text), judge in self._judges.items():
            due = [
                thing
                for thing, area_px in areas.items()
                if shot.heads[thing] == self._expressions.each[i].place
                and area_px > _GROWN * shot.views.get((i, text, thing), 0)
            ]
            if not due:
                continue
            scores = judge(image, np.stack([masks[thing] for thing in due]))
            for thing, score in zip(due, scores.tolist(), strict=True):
                shot.views[i, text, thing] = areas[thing]
                shot.scores[i, text, thing] = score

    def _choice(self, i: int) -> Chosen:
        """The ids of the things that expression i means, None for all that was found; and why."""
        one, shot = self._expressions.each[i], self._shot
        if not one.speaks:
            return None, None
        size = self._held[0].size
        candidates = shot.candidates(one.place, size)
        if not candidates:
            return None, None
        choice = choose(
            list(candidates.values()),
            one.reading.clues,
            size,
            base=[max(shot.scores[i, one.text, thing] ** _JUDGED, _LEAST) for thing in candidates],
            showing={
                unlike: [shot.scores[i, unlike, thing] for thing in candidates] for unlike in one.unlike
            },
            others=self._others(one, size),
            several=one.reading.several,
        )
        ids = list(candidates)
        if self._tell is not None:
            self._tell(self._explained(one, candidates, choice))
        return (frozenset(ids[place] for place in choice.chosen) if choice.decides else None), choice

    def _others(self, one: Expression, size: tuple[int, int]) -> dict[str, list[Candidate]]:
        found = {}
        for other in one.others:
            things = list(self._shot.candidates(other.place, size).values())
            if things and other.clues:
                choice = choose(things, other.clues, size)
                things = [things[place] for place in choice.chosen] if choice.decides else things
            found[other.name] = things
        return found

    def _explained(self, one: Expression, candidates: Mapping[int, Candidate], choice: Choice) -> str:
        names = []
        for thing, candidate in candidates.items():
            x, y = np.nanmean(candidate.centres, axis=0)
            names.append(f"thing {thing} around ({x:.0f}, {y:.0f})")
        first, last = self._held[0].bare.index, self._held[-1].bare.index
        frames = f"frame {first}" if first == last else f"frames {first} to {last}"
        kept = "" if choice.decides else "; no word decides, so all that was found stays"
        return f"{frames}, {one.text!r}{kept}\n{choice.explain(names)}"

    def _result(self, held: Held, choices: Sequence[Chosen]) -> FrameResult:
        """The frame's result for the expressions."""
        each, bare = self._expressions.each, held.bare
        labels, masks, of_things = held.label_map(), held.decoded(held.masks), held.decoded(held.of_things)
        ids = np.zeros(labels.shape, np.uint8)
        objects, verdicts, beneath = [], [], []
        for i, (one, (chosen, _)) in enumerate(zip(each, choices, strict=True)):
            said = bare.queries[one.place]
            rows = [
                row
                for row, (thing, place) in enumerate(held.things)
                if place == one.place and (chosen is None or thing in chosen)
            ]
            mask: Bools = masks[one.place] if chosen is None else np.asarray(of_things[rows].any(0))
            if chosen is not None and not mask.any():
                said = replace(said, score=0.0, present=False)
            verdicts.append(QueryVerdict(one.text, said.score, said.present))
            # Tracks are told apart by the exact text.
            first = self._expressions.first(i, exact=self._instances)
            own: list[tuple[int, Bools]] = [(i + 1, mask)]
            if self._instances:
                own = [(self._id(first, held.things[row][0]), of_things[row]) for row in rows]
            if self._instances and first != i:
                continue
            for number, part in own:
                objects.append(ObjectResult(number, one.text, part, said.score, said.present))
                if first == i:
                    # The label map of what was asked says which answer a pixel has.
                    winning = part & (labels == one.place + 1) & (ids == 0)
                    ids[winning] = number
                    beneath.append((number, part))
        for number, part in beneath:
            ids[part & (ids == 0)] = number
        place_of = [one.place for one in each]
        evidence = bare.evidence
        if evidence is not None:
            evidence = replace(
                evidence,
                steps=tuple(step.spread(place_of) for step in evidence.steps),
                sam=None if evidence.sam is None else tuple(evidence.sam[place] for place in place_of),
            )
        return replace(
            bare,
            label_map=ids,
            objects=tuple(sorted(objects, key=lambda one: one.id)),
            evidence=evidence,
            verdicts=tuple(verdicts) if self._instances else None,
            words=tuple(one.record(choice) for one, (_, choice) in zip(each, choices, strict=True)),
        )

    def _id(self, i: int, thing: int) -> int:
        """The id of a thing that expression i means."""
        key = (i, thing)
        if key not in self._ids:
            if len(self._ids) == MOST:
                raise too_many_tracks()
            self._ids[key] = len(self._ids) + 1
        return self._ids[key]
