"""Instances: each query's mask split into things, each with an id that it keeps while it moves and is hidden a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.measures.assignment import assign
from carvid.motion.flow import Flow
from carvid.motion.things import Thing, colour_histogram, lay, likeness
from carvid.result import FrameResult, ObjectResult

Bools = NDArray[np.bool_]

LOST = 30
"""A track that has not been seen for more than this many frames has ended."""

MOST = 255
"""The last id: label maps are uint8."""

# A part of a mask smaller than this share of the picture is a speck, unless it lies on a thing.
_SPECK = 3e-4
# A part belongs to a thing if their overlap is at least this share of the smaller.
_OWNED = 0.25
# A lost thing is back if this share of its outline is seen where no other outline lies.
_BACK = 0.1
# A thing stands alone only while its mask has this share of its usual area, which may fall by this factor per frame.
_WHOLE, _FALL = 0.9, 0.99
# How fast the velocity follows what is measured, of a thing that stands alone, and of one that does not.
_FOLLOW, _FOLLOW_MERGED = 0.3, 0.1
# A lost thing comes back within this many of its diameters of where it is expected, and this many more per frame.
_NEAR, _NEAR_PER_FRAME = 1.0, 0.1
# How alike the colours must be.
_ALIKE = 0.5
# A part joins a thing over a gap of at most this many of the thing's diameters.
_GAP = 0.5
_BESIDE = 0.3
_FRAGMENT = 0.33


class Tracker:
    """Splits the masks of one video's queries into tracks. Takes the frames in order.

    Memory: per track an outline, a histogram and a velocity; per query a label map.
    """

    def __init__(self) -> None:
        self._given = 0
        self._things: dict[str, list[Thing]] = {}
        self._labels: dict[str, NDArray[np.uint8]] = {}

    def step(self, image: NDArray[np.uint8], result: FrameResult, back: Flow | None) -> FrameResult:
        """The result with `objects` replaced by the tracks that are in the frame, and `verdicts` of the queries.

        image: (H, W, 3) uint8 RGB.
        result: one object per query, with its mask.
        back: the flow from this frame to the one before; None at the first frame of a shot, where every track ends.

        Raises UsageError when there are no ids left.
        """
        if back is None:
            self._things, self._labels = {}, {}
        label_map = np.zeros_like(result.label_map)
        tracks: list[ObjectResult] = []
        for one in {one.query: one for one in reversed(result.objects)}.values():
            others = result.label_map * (result.label_map != one.id) > 0
            labels = self._follow(one.query, image, one.mask, others, back)
            self._labels[one.query] = labels
            own = result.label_map == one.id
            label_map[own] = labels[own]
            for thing in self._things[one.query]:
                if not thing.lost:
                    tracks.append(
                        ObjectResult(thing.id, one.query, labels == thing.id, one.score, one.present)
                    )
        return replace(
            result,
            label_map=label_map,
            objects=tuple(sorted(tracks, key=lambda track: track.id)),
            verdicts=result.queries,
        )

    def _follow(
        self, query: str, image: NDArray[np.uint8], mask: Bools, others: Bools, back: Flow | None
    ) -> NDArray[np.uint8]:
        """The label map of one query's tracks."""
        things = self._things.setdefault(query, [])
        if not things and not mask.any():
            return np.zeros(mask.shape, np.uint8)
        parts = _Parts(mask)
        warped = None if back is None or query not in self._labels else _warped(self._labels[query], back)
        before = {thing.id: (thing.x, thing.y) for thing in things}
        for thing in things:
            _expect(thing, warped, back)
        seen, lost = [one for one in things if not one.lost], [one for one in things if one.lost]
        cover = np.zeros(mask.shape, np.int16)
        for thing in seen:
            where, inner = thing.window(mask.shape)
            cover[where] += inner
        for _ in range(2):
            lay(seen, mask, others & ~mask, cover)
        laid = [*seen]
        hidden = []
        for thing in lost:
            where, inner = thing.window(mask.shape)
            cover[where] += inner
            place = thing.x, thing.y
            lay([thing], mask, others & ~mask, cover, min(8, thing.lost // 2))
            where, inner = thing.window(mask.shape)
            alone = inner & (cover[where] == 1)
            gained = int(np.count_nonzero(alone & mask[where]))
            spilt = int(np.count_nonzero(inner & ~mask[where] & ~others[where]))
            if gained >= _BACK * thing.area_px and gained > spilt:
                laid.append(thing)
            else:
                cover[where] -= inner
                thing.x, thing.y = place
                hidden.append(thing)

        owners: list[list[Thing]] = [[] for _ in range(parts.count)]
        shared = np.zeros(parts.count, np.bool_)
        for thing in laid:
            for part in parts.near(parts.under(thing, _OWNED), _GAP * np.sqrt(thing.usual_px)):
                owners[part].append(thing)
        absorbed = set()
        for owning in owners:
            ids = {one.id for one in owning}
            absorbed |= {one.id for one in owning if one.parent in ids}
        for thing in hidden:
            under = parts.under(thing, _OWNED)
            if any(one.id == thing.parent for part in under for one in owners[part]):
                absorbed.add(thing.id)
            else:
                shared[under] = True
        owners = [[one for one in owning if one.id not in absorbed] for owning in owners]
        laid = [one for one in laid if one.id not in absorbed]
        things = [one for one in things if one.id not in absorbed]

        labels = np.zeros(mask.shape, np.uint8)
        free = []
        for part, owning in enumerate(owners):
            if len(owning) == 1:
                labels[parts.labels == part + 1] = owning[0].id
            elif owning:
                shared[part] = True
                _divide(labels, parts.mask(part), owning, warped)
            elif parts.areas[part] >= max(4, _SPECK * mask.size):
                free.append(part)
        present = {thing.id for thing in laid if (labels == thing.id).any()}
        free = [part for part in free if not _joined(labels, parts.mask(part), laid, image)]
        free.sort(key=lambda part: -parts.areas[part])
        missing = [thing for thing in things if thing.id not in present]
        back_again = _found_again(missing, [parts.mask(part) for part in free], image)
        for place, part in enumerate(free):
            own = parts.mask(part)
            if place in back_again:
                thing = back_again[place]
                if _distance(thing, own.shape)[own].mean() > 4:
                    y, x = np.argwhere(own).mean(0) - np.array(thing.outline.shape) / 2
                    thing.x, thing.y = float(x), float(y)
                    where, inner = thing.window(mask.shape)
                    cover[where] += inner
                    lay([thing], mask, others & ~mask, cover, max(thing.outline.shape) // 2)
                    thing.seen, thing.velocity = 1, np.zeros(2)
                    before.pop(thing.id, None)
            else:
                thing = self._new(own, image)
                thing.parent = _near(labels, own, things, thing.colours)
                things.append(thing)
            labels[own] = thing.id
            shared[part] = False
        for thing in things:
            own = labels == thing.id
            if not own.any():
                thing.lost += 1
                continue
            its_parts = np.unique(parts.labels[own]) - 1
            alone = len(its_parts) == 1 and not shared[its_parts].any()
            _update(thing, own, image, before.get(thing.id), alone=alone)
        for thing in things:
            if thing.parent is not None and not thing.lost:
                others_ = [one for one in things if one.id == thing.parent]
                if not others_ or (not others_[0].lost and _near(labels, labels == thing.id, others_, thing.colours) is None):
                    thing.parent = None
        self._things[query] = [thing for thing in things if thing.lost <= LOST]
        return labels

    def _new(self, mask: Bools, image: NDArray[np.uint8]) -> Thing:
        if self._given == MOST:
            raise UsageError(
                f"the video has more than {MOST} tracks, and a label map holds no more; "
                "split the video, or run without instances"
            )
        self._given += 1
        outline, x, y = _cropped(mask)
        area = int(np.count_nonzero(mask))
        return Thing(self._given, outline, x, y, colour_histogram(image, mask), area, np.zeros(2))


class _Parts:
    """The connected parts of a mask. labels: (H, W) int32, 0 outside; areas: (count,) intp px."""

    def __init__(self, mask: Bools) -> None:
        number, self.labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        self.count = number - 1
        self.areas = stats[1:, cv2.CC_STAT_AREA]

    def mask(self, part: int) -> Bools:
        found: Bools = self.labels == part + 1
        return found

    def near(self, some: list[int], most_px: float) -> list[int]:
        """Those of some parts that are at most so far from the largest of them."""
        if len(some) < 2:
            return some
        largest = max(some, key=lambda part: self.areas[part])
        gaps = cv2.distanceTransform((self.labels != largest + 1).astype(np.uint8), cv2.DIST_L2, 3)
        return [part for part in some if gaps[self.labels == part + 1].min() <= most_px]

    def under(self, thing: Thing, share: float) -> list[int]:
        """The parts that overlap the outline by at least this share of the smaller of both."""
        where, inner = thing.window(self.labels.shape)
        overlap = np.bincount(self.labels[where][inner], minlength=self.count + 1)[1:]
        found = np.flatnonzero(overlap >= share * np.minimum(self.areas, thing.area_px))
        return [int(part) for part in found if overlap[part]]


def _warped(labels: NDArray[np.uint8], back: Flow) -> NDArray[np.uint8]:
    """Label map of the frame before, seen from this one."""
    height, width = labels.shape
    y, x = np.indices(labels.shape, np.float32)
    x = np.rint(x + back.offsets[..., 0]).astype(np.intp).clip(0, width - 1)
    y = np.rint(y + back.offsets[..., 1]).astype(np.intp).clip(0, height - 1)
    found: NDArray[np.uint8] = labels[y, x]
    return found


def _expect(thing: Thing, warped: NDArray[np.uint8] | None, back: Flow | None) -> None:
    step = thing.velocity
    if back is not None and warped is not None and thing.alone and not thing.lost:
        own = (warped == thing.id) & (back.confidence > 0.5)
        if np.count_nonzero(own) > 0.25 * thing.area_px:
            step = -np.median(back.offsets[own], 0)
    thing.x += float(step[0])
    thing.y += float(step[1])


def _divide(
    labels: NDArray[np.uint8], part: Bools, owners: Sequence[Thing], warped: NDArray[np.uint8] | None
) -> None:
    """Label the pixels of a part that several things own."""
    distance = np.empty((len(owners), *part.shape), np.float32)
    for i, thing in enumerate(owners):
        distance[i] = _distance(thing, part.shape)
        if warped is not None:
            distance[i] -= 0.5 * (warped == thing.id)
    ids = np.array([thing.id for thing in owners], np.uint8)
    labels[part] = ids[distance.argmin(0)][part]


def _near(labels: NDArray[np.uint8], part: Bools, things: Sequence[Thing], colours: NDArray[np.float32]) -> int | None:
    gaps = cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 3)
    best, best_gap = None, np.inf
    for thing in things:
        own = labels == thing.id
        if not own.any() or part.sum() > _FRAGMENT * thing.usual_px or likeness(colours, thing.colours) < _ALIKE:
            continue
        gap = float(gaps[own].min())
        if gap < min(best_gap, _BESIDE * np.sqrt(thing.usual_px)):
            best, best_gap = thing.id, gap
    return best


def _distance(thing: Thing, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(H, W) float32: how far each pixel is from the thing where it is expected, in px."""
    far = np.ones(shape, np.uint8)
    where, inner = thing.window(shape)
    far[where] = ~inner
    if not inner.any():
        x, y = thing.centre.clip(0, [shape[1] - 1, shape[0] - 1]).astype(int)
        far[y, x] = 0
    found: NDArray[np.float32] = cv2.distanceTransform(far, cv2.DIST_L2, 3)
    return found


def _joined(
    labels: NDArray[np.uint8], part: Bools, things: Sequence[Thing], image: NDArray[np.uint8]
) -> bool:
    """Whether a part is what is missing of a thing that something hides in part; if so, label it."""
    area = int(np.count_nonzero(part))
    best, best_gap = None, np.inf
    gaps = cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 3)
    colours = colour_histogram(image, part)
    for thing in things:
        own = labels == thing.id
        visible = int(np.count_nonzero(own))
        hidden = visible < _WHOLE * thing.usual_px and visible + area <= 1.1 * thing.usual_px
        if not visible or not hidden or likeness(colours, thing.colours) < _ALIKE:
            continue
        gap = float(gaps[own].min())
        if gap < min(best_gap, _GAP * np.sqrt(thing.usual_px)):
            best, best_gap = thing, gap
    if best is not None:
        labels[part] = best.id
    return best is not None


def _found_again(
    missing: Sequence[Thing], masks: Sequence[Bools], image: NDArray[np.uint8]
) -> dict[int, Thing]:
    """Which masks are which missing things, by place and colours."""
    if not missing or not masks:
        return {}
    cost = np.full((len(missing), len(masks)), 1e3)
    for j, mask in enumerate(masks):
        colours = colour_histogram(image, mask)
        for i, thing in enumerate(missing):
            reach = np.sqrt(thing.area_px) * (_NEAR + _NEAR_PER_FRAME * thing.lost)
            far = float(_distance(thing, mask.shape)[mask].mean()) / reach
            alike = likeness(thing.colours, colours)
            if far <= 1 and alike >= _ALIKE:
                cost[i, j] = far + 1 - alike
    rows, columns = assign(cost)
    return {int(j): missing[i] for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1e3}


def _update(
    thing: Thing, own: Bools, image: NDArray[np.uint8], before: tuple[float, float] | None, *, alone: bool
) -> None:
    area = int(np.count_nonzero(own))
    whole = alone and area >= _WHOLE * thing.usual_px
    if alone:
        thing.usual_px = max(area, _FALL * thing.usual_px)
    was = thing.outline, thing.x, thing.y
    moved = None if before is None else np.array([thing.x - before[0], thing.y - before[1]])
    if whole:
        outline, x, y = _cropped(own)
        if moved is not None and not _at_border(own):
            # The centroids tell fractions of a px, but not while the thing comes into the picture.
            moved += _centroid(outline, x, y) - _centroid(*was)
        thing.outline, thing.x, thing.y = outline, x, y
        thing.colours = colour_histogram(image, own)
    if moved is not None and not thing.lost:
        share = max(_FOLLOW, 1 / thing.seen) if whole else _FOLLOW_MERGED
        thing.velocity = thing.velocity + share * (moved - thing.velocity)
        thing.seen += 1
    thing.lost, thing.alone = 0, whole


def _at_border(mask: Bools) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _centroid(outline: Bools, x: float, y: float) -> NDArray[np.float64]:
    ys, xs = np.nonzero(outline)
    return np.array([x + xs.mean(), y + ys.mean()])


def _cropped(mask: Bools) -> tuple[Bools, float, float]:
    """A mask (H, W) bool cut to its box, and the box's left and top in px."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return mask[y : y + height, x : x + width].copy(), float(x), float(y)
