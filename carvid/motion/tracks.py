"""Instances: each query's mask split into things, each with an id that it keeps while it moves and is hidden a while.

The things of the frame before are laid over the query's mask, each where it is expected: where optical flow takes it,
or, if it does not stand alone or is not seen, where its velocity does. A connected part of the mask under one thing is
that thing's; one under several is divided among them; one under none is a lost thing that is back, or a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from carvid.errors import UsageError
from carvid.measures.assignment import assign
from carvid.motion.flow import Flow
from carvid.motion.split import pieces, step_of
from carvid.motion.things import Parts, Thing, colour_histogram, cropped, gap_from, lay, likeness, put, take
from carvid.result import FrameResult, ObjectResult

Bools = NDArray[np.bool_]
Labels = NDArray[np.uint8] | NDArray[np.uint16]

LOST = 30
"""A track that has not been seen for more than this many frames has ended."""

MOST = 255
"""How many tracks a video may have: label maps are uint8."""

# A part that is smaller than this share of the picture, or this many px, and under no thing, is a speck.
_SPECK, _SPECK_PX = 3e-4, 4
# A part is under a thing if they overlap by this share of the smaller.
_UNDER = 0.25
# A lost thing is back if this share of its outline explains mask that no other outline does.
_BACK = 0.1
# A thing that stands alone is whole with this share of its usual area, which falls by this factor a frame at most.
_WHOLE, _FALL = 0.9, 0.99
# How fast the velocity follows what is measured: of a whole thing, and of another.
_FOLLOW, _FOLLOW_HIDDEN = 0.3, 0.1
# A thing's flow is known if this share of its outline has flow of this confidence.
_SHARE, _SURE = 0.25, 0.5
# A lost thing may be back so far from where it is expected: in its own size, at once and more for each frame.
_NEAR, _NEAR_MORE = 1.0, 0.1
# Within so many px it is where it was expected, and its velocity still holds.
_HERE_PX = 4.0
# Things and parts look alike from this likeness on.
_ALIKE = 0.5
# Parts of one thing lie at most so far from its largest part, in its own size. They have its usual area, or so.
_GAP, _TOGETHER = 0.5, 1.1
# A fragment is at most this share of its thing's usual area, and beside it, in the thing's size.
_FRAGMENT, _BESIDE = 0.33, 0.3
# Where several outlines lie on a pixel, which was whose in the frame before decides; px.
_BEFORE_PX = 0.5


@dataclass(frozen=True, eq=False)
class _View:
    """One query in one frame.

    mask: (H, W) bool; unknown: (H, W) bool, where other queries may hide what it refers to; parts: of the mask.
    warped: (H, W) uint8, the labels of the frame before as they lie in this one; None without flow.
    read_segments: as of `Tracker.step`.
    """

    image: NDArray[np.uint8]
    mask: Bools
    unknown: Bools
    parts: Parts
    back: Flow | None
    warped: Labels | None
    read_segments: Callable[[Bools], Bools] | None


class Tracker:
    """Splits the masks of one video's queries into tracks. Takes the frames in order.

    Memory: per track an outline, a histogram and a velocity; per query a label map. A track that has ended leaves
    nothing behind but its id, which is not given again.
    """

    def __init__(self, most: int = MOST) -> None:
        """most: how many tracks there may be; with more than `MOST`, label maps are uint16."""
        self._given, self._most = 0, most
        self._dtype = np.uint8 if most <= MOST else np.uint16
        self._things: dict[str, list[Thing]] = {}
        self._labels: dict[str, Labels] = {}

    def step(
        self,
        image: NDArray[np.uint8],
        result: FrameResult,
        back: Flow | None,
        read_segments: Callable[[Bools], Bools] | None = None,
    ) -> FrameResult:
        """The result with the frame's tracks as `objects`, and what is said of each query as `verdicts`.

        image: (H, W, 3) uint8 RGB.
        result: one object per query, with its mask. A query given twice has its tracks once.
        back: the flow from this frame to the one before; None at the first frame of a shot, where every track ends.

        read_segments: gives the frame's segments within a mask, as `Evidence.read_segments` does; None without any.

        The label map has the tracks of the query that has the pixel in the result's; specks are left out.
        Raises UsageError where there would be more tracks than labels.
        """
        if back is None:
            self._things, self._labels = {}, {}
        label_map = np.zeros(result.label_map.shape, self._dtype)
        tracks: list[ObjectResult] = []
        # Of a query given twice, the first object is the one in the label map.
        firsts: dict[str, ObjectResult] = {}
        for one in result.objects:
            firsts.setdefault(one.query, one)
        for one in firsts.values():
            own = result.label_map == one.id
            unknown = (result.label_map > 0) & ~own & ~one.mask
            before = self._labels.get(one.query)
            warped = None if back is None or before is None else _warped(before, back)
            view = _View(image, one.mask, unknown, Parts(one.mask), back, warped, read_segments)
            things, labels = self._follow(self._things.get(one.query, []), view)
            self._things[one.query], self._labels[one.query] = things, labels
            label_map[own] = labels[own]
            tracks += [
                ObjectResult(thing.id, one.query, labels == thing.id, one.score, one.present)
                for thing in things
                if not thing.lost
            ]
        tracks.sort(key=lambda track: track.id)
        return replace(result, label_map=label_map, objects=tuple(tracks), verdicts=result.queries)

    def _follow(self, things: list[Thing], view: _View) -> tuple[list[Thing], Labels]:
        """A query's things in this frame, those lost for a while too, and the label map of those that are seen."""
        labels = np.zeros(view.mask.shape, self._dtype)
        if not things and not view.parts.count:
            return [], labels
        before = {thing.id: thing.place for thing in things}
        for thing in things:
            _expect(thing, view)
        seen, hidden = _laid(things, view)
        owners, shared = _owners(seen, hidden, view)
        self._cut(owners, shared, things, before, view)
        # What has become one part with the thing that it was always beside was a fragment of it.
        fragments = {one.id for part in owners for one in part if one.parent in {other.id for other in part}}
        things = [thing for thing in things if thing.id not in fragments]
        free = []
        for part, own in enumerate([one for one in part if one.id not in fragments] for part in owners):
            if own:
                _divide(labels, view.parts.mask(part), own, view.warped)
                shared[part] |= len(own) > 1
            elif view.parts.areas[part] >= max(_SPECK_PX, _SPECK * view.mask.size):
                free.append(part)
        free.sort(key=lambda part: -int(view.parts.areas[part]))
        free = [part for part in free if not _rejoined(labels, view.parts.mask(part), things, view.image)]
        shared[free] = False
        missing = [thing for thing in things if not (labels == thing.id).any()]
        again = _found_again(missing, [view.parts.mask(part) for part in free], view.image)
        for place, part in enumerate(free):
            own_mask = view.parts.mask(part)
            if place in again:
                thing = again[place]
                if _come_back(thing, own_mask, view):
                    del before[thing.id]
            else:
                thing = self._new(own_mask, view.image)
                thing.parent = _beside(labels, own_mask, things, thing.colours)
                things.append(thing)
            labels[own_mask] = thing.id
        for thing in things:
            _update(thing, labels, shared, before.get(thing.id), view)
        for thing in things:
            if thing.parent is not None and not thing.lost:
                parents = [one for one in things if one.id == thing.parent]
                hidden_parent = any(one.lost for one in parents)
                if not hidden_parent and _beside(labels, labels == thing.id, parents, thing.colours) is None:
                    thing.parent = None
        return [thing for thing in things if thing.lost <= LOST], labels

    def _cut(
        self,
        owners: list[list[Thing]],
        shared: NDArray[np.bool_],
        things: list[Thing],
        before: dict[int, NDArray[np.float64]],
        view: _View,
    ) -> None:
        """Where segments of a part that is one thing move apart, make them things; the largest keeps the id."""
        if view.read_segments is None or view.back is None or not any(len(one) == 1 for one in owners):
            return
        segments = view.read_segments(view.mask)
        for part, own in enumerate(owners):
            # Where a lost thing is expected, the other piece may be that.
            if len(own) != 1 or shared[part] or view.parts.areas[part] < _SPECK * view.mask.size:
                continue
            if sum(own[0] in other for other in owners) > 1:
                # Something hides the thing in part, so that its pieces here are not all of it.
                continue
            largest, *others = pieces(view.parts.mask(part), segments, view.back)
            if not others:
                continue
            thing = own[0]
            thing.outline, thing.x, thing.y = cropped(largest)
            thing.usual_px, thing.colours = thing.area_px, colour_histogram(view.image, largest)
            thing.velocity, thing.measured = _velocity(largest, view.back), 1
            before.pop(thing.id, None)
            for mask in others:
                new = self._new(mask, view.image)
                new.velocity = _velocity(mask, view.back)
                own.append(new)
                things.append(new)

    def _new(self, mask: Bools, image: NDArray[np.uint8]) -> Thing:
        if self._given == self._most:
            raise too_many_tracks(self._most)
        self._given += 1
        area = int(np.count_nonzero(mask))
        return Thing(self._given, *cropped(mask), colour_histogram(image, mask), area, np.zeros(2))


def too_many_tracks(most: int = MOST) -> UsageError:
    """The error of a video with more tracks than there are labels."""
    return UsageError(
        f"the video has more than {most} tracks, and a label map has no more labels; "
        "cut the video into shorter ones, or run it without instances"
    )


def _velocity(mask: Bools, back: Flow) -> NDArray[np.float64]:
    step = step_of(mask, back)
    return np.zeros(2) if step is None else step


def _warped(labels: Labels, back: Flow) -> Labels:
    """The label map of the frame before, seen from this one; the nearest pixel's label, as labels cannot be mixed."""
    height, width = labels.shape
    y, x = np.indices(labels.shape, np.float32)
    x = np.rint(x + back.offsets[..., 0]).astype(np.intp).clip(0, width - 1)
    y = np.rint(y + back.offsets[..., 1]).astype(np.intp).clip(0, height - 1)
    found: Labels = labels[y, x]
    return found


def _expect(thing: Thing, view: _View) -> None:
    """Move a thing to where it is expected.

    Only of a whole thing is the flow its own: what hides another also draws the flow beside it.
    """
    step = thing.velocity
    if view.back is not None and view.warped is not None and thing.whole and not thing.lost:
        own = (view.warped == thing.id) & (view.back.confidence > _SURE)
        if np.count_nonzero(own) > _SHARE * thing.area_px:
            step = -np.median(view.back.offsets[own], axis=0)
    thing.move(step)


def _laid(things: Sequence[Thing], view: _View) -> tuple[list[Thing], list[Thing]]:
    """The things, laid over the mask, that may be seen; and those that are still lost, where they are expected."""
    cover = np.zeros(view.mask.shape, np.int16)
    seen, hidden = [thing for thing in things if not thing.lost], []
    for thing in seen:
        put(thing, cover)
    # Twice, as each is laid beside the others.
    for _ in range(2):
        lay(seen, view.mask, view.unknown, cover)
    for thing in things:
        if not thing.lost:
            continue
        x, y = thing.x, thing.y
        put(thing, cover)
        lay([thing], view.mask, view.unknown, cover, min(8, thing.lost // 2))
        where, inner = thing.window(cover.shape)
        gained = np.count_nonzero(inner & view.mask[where] & (cover[where] == 1))
        spilt = np.count_nonzero(inner & ~view.mask[where] & ~view.unknown[where])
        if gained >= max(1, _BACK * thing.area_px) and gained > spilt:
            seen.append(thing)
        else:
            take(thing, cover)
            thing.x, thing.y = x, y
            hidden.append(thing)
    return seen, hidden


def _owners(
    seen: Sequence[Thing], hidden: Sequence[Thing], view: _View
) -> tuple[list[list[Thing]], NDArray[np.bool_]]:
    """For each part the things that it is under; and (count,) bool, whether a lost thing is expected there too."""
    owners: list[list[Thing]] = [[] for _ in range(view.parts.count)]
    shared = np.zeros(view.parts.count, np.bool_)
    for thing in seen:
        for part in view.parts.beside(view.parts.under(thing, _UNDER), _GAP * thing.size_px):
            owners[part].append(thing)
    for thing in hidden:
        shared[view.parts.under(thing, _UNDER)] = True
    return owners, shared


def _divide(labels: Labels, part: Bools, owners: Sequence[Thing], warped: Labels | None) -> None:
    """Give each pixel of a part to the nearest of its owners."""
    if len(owners) == 1:
        labels[part] = owners[0].id
        return
    distance = np.stack([thing.distance(part.shape) for thing in owners])
    if warped is not None:
        distance -= _BEFORE_PX * np.stack([warped == thing.id for thing in owners])
    ids = np.array([thing.id for thing in owners], labels.dtype)
    labels[part] = ids[distance.argmin(0)][part]


def _rejoined(labels: Labels, part: Bools, things: Sequence[Thing], image: NDArray[np.uint8]) -> bool:
    """Whether a part is what is missing of a thing that something hides in part; if so, label it."""
    area, colours, gaps = int(np.count_nonzero(part)), colour_histogram(image, part), gap_from(part)
    nearest, least = None, np.inf
    for thing in things:
        own = labels == thing.id
        left = int(np.count_nonzero(own))
        if not 0 < left < _WHOLE * thing.usual_px or left + area > _TOGETHER * thing.usual_px:
            continue
        gap = float(gaps[own].min())
        if gap < min(least, _GAP * thing.size_px) and likeness(colours, thing.colours) >= _ALIKE:
            nearest, least = thing, gap
    if nearest is not None:
        labels[part] = nearest.id
    return nearest is not None


def _beside(labels: Labels, part: Bools, things: Sequence[Thing], colours: NDArray[np.float32]) -> int | None:
    """The id of the nearest thing that a part may be a fragment of; None if there is none."""
    area, gaps = int(np.count_nonzero(part)), gap_from(part)
    nearest, least = None, np.inf
    for thing in things:
        own = labels == thing.id
        if not own.any() or area > _FRAGMENT * thing.usual_px:
            continue
        gap = float(gaps[own].min())
        if gap < min(least, _BESIDE * thing.size_px) and likeness(colours, thing.colours) >= _ALIKE:
            nearest, least = thing.id, gap
    return nearest


def _found_again(
    missing: Sequence[Thing], parts: Sequence[Bools], image: NDArray[np.uint8]
) -> dict[int, Thing]:
    """Which parts are which missing things, by place and colours; the nearer, the less the colours need be alike."""
    if not missing or not parts:
        return {}
    histograms = [colour_histogram(image, part) for part in parts]
    cost = np.empty((len(missing), len(parts)))
    for i, thing in enumerate(missing):
        distance = thing.distance(image.shape[:2])
        reach = thing.size_px * (_NEAR + _NEAR_MORE * thing.lost)
        for j, (part, colours) in enumerate(zip(parts, histograms, strict=True)):
            cost[i, j] = distance[part].mean() / reach + 1 - likeness(colours, thing.colours)
    # Above 1 there is no match; such costs are equal, so that they do not decide between others.
    rows, columns = assign(np.where(cost <= 1, cost, len(missing) + 1.0))
    return {int(j): missing[i] for i, j in zip(rows, columns, strict=True) if cost[i, j] <= 1}


def _come_back(thing: Thing, part: Bools, view: _View) -> bool:
    """Lay a missing thing over the part that it is; whether that is not where it was expected."""
    if thing.distance(part.shape)[part].mean() <= _HERE_PX:
        return False
    height, width = thing.outline.shape
    y, x = np.argwhere(part).mean(0)
    thing.x, thing.y = float(x) - width / 2, float(y) - height / 2
    cover = np.zeros(part.shape, np.int16)
    put(thing, cover)
    lay([thing], view.mask, view.unknown, cover, max(height, width) // 2)
    thing.velocity, thing.measured = np.zeros(2), 1
    return True


def _update(
    thing: Thing, labels: Labels, shared: NDArray[np.bool_], before: NDArray[np.float64] | None, view: _View
) -> None:
    """Keep what this frame tells of a thing. before: where its outline lay in the frame before; None if unknown."""
    own = labels == thing.id
    area = int(np.count_nonzero(own))
    if not area:
        thing.lost += 1
        return
    parts = np.unique(view.parts.labels[own]) - 1
    alone = len(parts) == 1 and not shared[parts[0]]
    thing.whole = alone and area >= _WHOLE * thing.usual_px
    if alone:
        thing.usual_px = max(area, _FALL * thing.usual_px)
    moved = None if before is None else thing.place - before
    if thing.whole:
        expected = _centroid(thing)
        thing.outline, thing.x, thing.y = cropped(own)
        thing.colours = colour_histogram(view.image, own)
        # The centroid tells fractions of a px, but not the motion of what comes into the picture.
        if moved is not None and not _is_at_border(own):
            moved += _centroid(thing) - expected
    if moved is not None and not thing.lost:
        share = max(_FOLLOW, 1 / thing.measured) if thing.whole else _FOLLOW_HIDDEN
        thing.velocity = thing.velocity + share * (moved - thing.velocity)
        thing.measured += 1
    thing.lost = 0


def _centroid(thing: Thing) -> NDArray[np.float64]:
    """(2,) float64 (x, y) px, that of the outline."""
    y, x = np.argwhere(thing.outline).mean(0)
    return np.array([thing.x + x, thing.y + y])


def _is_at_border(mask: Bools) -> bool:
    return any(side.any() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
