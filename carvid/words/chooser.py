"""Choosing through a video: holds a shot's results back until its things are known, then gives what was meant."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carvid.engines import Judge
from carvid.motion.tracks import MOST, too_many_tracks
from carvid.result import FrameResult, ObjectResult, QueryVerdict
from carvid.words.candidates import Candidate
from carvid.words.choose import Choice, choose
from carvid.words.queries import Expression, Expressions

Bools = NDArray[np.bool_]

HELD = 120
"""A choice is made at the latest when so many frames are held back."""

HELD_BYTES = 256 * 2**20
"""The same for the bytes of their pictures, which wait beside their results."""

REMEMBERED = 1500
"""Things are told apart by what they did in so many frames of their shot."""

# A thing is a rival only with this share of the largest one's area, and of the frames of the one seen most.
_RIVAL = 0.1
# A thing is looked at again once it is so much larger.
_GROWN = 1.5
# A judgement counts for so much, as an exponent: g is surer of large things, so that the clues have to outweigh it.
_JUDGED = 1 / 3
# What a judge leaves at least: no judgement alone rules a thing out.
_LEAST = 0.05


class Packed:
    """An array, in little memory."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._shape, self._dtype = values.shape, values.dtype
        flat = np.packbits(values) if values.dtype == np.bool_ else values
        self._bytes = zlib.compress(np.ascontiguousarray(flat).tobytes(), 1)

    @property
    def values(self) -> NDArray[Any]:
        """The array again, a new one each time."""
        flat = np.frombuffer(zlib.decompress(self._bytes), np.uint8)
        if self._dtype == np.bool_:
            count = int(np.prod(self._shape))
            return np.unpackbits(flat, count=count).view(np.bool_).reshape(self._shape)
        return flat.view(self._dtype).reshape(self._shape)


@dataclass(frozen=True)
class _Seen:
    """A thing in one frame. box: left, top, right, bottom px."""

    box: tuple[int, int, int, int]
    area_px: int


@dataclass(frozen=True, eq=False)
class _Held:
    """A frame whose result waits for the choice.

    bare: the engine's result without its arrays. labels, masks: its label map and (A, H, W) masks, of what was asked.
    things: the tracks' (id, place of what was asked), with `of_things`, (K, H, W) bool.
    """

    bare: FrameResult
    labels: Packed
    masks: Packed
    things: tuple[tuple[int, int], ...]
    of_things: Packed


@dataclass
class _Shot:
    """What is known of the things in a shot. steps: per frame the things by id; ways: how far the picture's content has
    shifted since the first frame, (2,) px. heads: what was asked for each thing. views, scores: by expression and
    thing, the area at which it was judged, and how."""

    steps: deque[Mapping[int, _Seen]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    ways: deque[NDArray[np.float64]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    heads: dict[int, int] = field(default_factory=dict)
    views: dict[tuple[int, int], int] = field(default_factory=dict)
    scores: dict[tuple[int, int], float] = field(default_factory=dict)

    def candidates(self, place: int) -> dict[int, Candidate]:
        """The things found for what was asked in a place, by id, without those too small or too short to be rivals."""
        found = {}
        camera = np.stack(self.ways)
        for thing, head in self.heads.items():
            if head != place:
                continue
            boxes, areas = np.full((len(self.steps), 4), np.nan), np.zeros(len(self.steps))
            for t, step in enumerate(self.steps):
                if thing in step:
                    boxes[t], areas[t] = step[thing].box, step[thing].area_px
            if areas.any():
                found[thing] = Candidate(boxes, areas, camera)
        areas_px = {thing: float(np.median(one.areas[one.seen])) for thing, one in found.items()}
        frames = {thing: int(one.seen.sum()) for thing, one in found.items()}
        return {
            thing: one
            for thing, one in found.items()
            if areas_px[thing] >= _RIVAL * max(areas_px.values())
            and frames[thing] >= _RIVAL * max(frames.values())
        }


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
        self._judges = [
            judge(one.text, [text for place, text in enumerate(asked) if place != one.place])
            if one.speaks
            else None
            for one in expressions.each
        ]
        self._shot = _Shot()
        self._held: list[_Held] = []
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
        shift: NDArray[np.float64] | None,
    ) -> Iterator[FrameResult]:
        """Take the next frame; give the results that are ready, in order.

        image: (H, W, 3) uint8 RGB. whole: one object for each text that was asked. tracked: the same as tracks.
        shift: (2,) px, x and y, how far the camera's motion has shifted the picture's content since the frame before;
        None at the first frame of a shot.
        """
        if shift is None:
            yield from self.finish()
            self._shot = _Shot()
        shot, asked = self._shot, self._expressions.asked
        step = {one.id: _Seen(_box(one.mask), one.area_px) for one in tracked.objects if one.mask.any()}
        masks = {one.id: one.mask for one in tracked.objects if one.id in step}
        for one in tracked.objects:
            shot.heads.setdefault(one.id, asked.index(one.query))
        shot.ways.append(np.zeros(2) if shift is None or not shot.ways else shot.ways[-1] + shift)
        shot.steps.append(step)
        self._look(image, step, masks)
        self._held.append(_held(whole, masks, shot.heads))
        if self._causal or len(self._held) >= min(HELD, max(1, HELD_BYTES // image.nbytes)):
            yield from self.finish()

    def finish(self) -> Iterator[FrameResult]:
        """Choose, and give the results that are held back."""
        if not self._held:
            return
        choices = [self._choice(i) for i in range(len(self._expressions.each))]
        held, self._held = self._held, []
        for one in held:
            yield self._result(one, choices)

    def close(self) -> None:
        """Let go of what is held back."""
        self._held, self._shot = [], _Shot()

    def _look(self, image: NDArray[np.uint8], step: Mapping[int, _Seen], masks: Mapping[int, Bools]) -> None:
        """Judge each thing where it is first seen, and again where it is much larger."""
        shot = self._shot
        for i, (one, judge) in enumerate(zip(self._expressions.each, self._judges, strict=True)):
            due = [
                thing
                for thing, seen in step.items()
                if shot.heads[thing] == one.place and seen.area_px > _GROWN * shot.views.get((i, thing), 0)
            ]
            if judge is None or not due:
                continue
            scores = judge(image, np.stack([masks[thing] for thing in due]))
            for thing, score in zip(due, scores.tolist(), strict=True):
                shot.views[i, thing] = step[thing].area_px
                shot.scores[i, thing] = max(score**_JUDGED, _LEAST)

    def _choice(self, i: int) -> tuple[frozenset[int] | None, Choice | None]:
        """The ids of the things that expression i means, None for all that was found; and why."""
        one, shot = self._expressions.each[i], self._shot
        if not one.speaks:
            return None, None
        candidates = shot.candidates(one.place)
        if not candidates:
            return None, None
        size = (self._held[0].bare.label_map.shape[0], self._held[0].bare.label_map.shape[1])
        choice = choose(
            list(candidates.values()),
            one.reading.clues,
            size,
            base=[shot.scores[i, thing] for thing in candidates],
            others=self._others(one, size),
        )
        ids = list(candidates)
        if self._tell is not None:
            self._tell(self._explained(one, candidates, choice))
        return (frozenset(ids[place] for place in choice.chosen) if choice.decides else None), choice

    def _others(self, one: Expression, size: tuple[int, int]) -> dict[str, list[Candidate]]:
        found = {}
        for other in one.others:
            things = list(self._shot.candidates(other.place).values())
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

    def _result(
        self, held: _Held, choices: Sequence[tuple[frozenset[int] | None, Choice | None]]
    ) -> FrameResult:
        """The frame's result for the expressions."""
        each, bare = self._expressions.each, held.bare
        labels, masks, of_things = held.labels.values, held.masks.values, held.of_things.values
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
            first = self._expressions.first(i)
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


def _held(whole: FrameResult, masks: Mapping[int, Bools], heads: Mapping[int, int]) -> _Held:
    height, width = whole.label_map.shape
    evidence = whole.evidence
    if evidence is not None:
        # What they read may lie on the device.
        evidence = replace(evidence, read_proposals=None, read_segments=None)
    bare = replace(
        whole,
        label_map=np.broadcast_to(np.uint8(0), (height, width)),
        objects=(),
        evidence=evidence,
        verdicts=whole.queries,
    )
    return _Held(
        bare,
        Packed(whole.label_map),
        Packed(whole.masks),
        tuple((thing, heads[thing]) for thing in masks),
        Packed(np.stack([*masks.values()]) if masks else np.zeros((0, height, width), np.bool_)),
    )


def _box(mask: Bools) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
