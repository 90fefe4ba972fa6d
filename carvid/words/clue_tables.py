"""How well a clue holds of each candidate: a table per kind of clue, about 0 to 1; None where nothing can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from carvid.words.candidates import Candidate, Floats
from carvid.words.reading import Clue

# What differs by less than this counts for less, in proportion: of a side, of an area or length by its logarithm, of a
# speed as a share of the thing's size a frame, and of a turn in radians.
_PLACES, _SIZES, _SPEEDS, _TURNS = 0.25, 0.2, 0.01, 0.3
# Things that share this much of their boxes are one thing, found by two names.
_SAME = 0.7
# px a frame, as a share of the candidate's size: below it a thing stands still.
_STILL = 0.005
# Share of its area by which a thing grows a frame, below which it comes no nearer.
_STEADY = 0.003


def _spread(values: Floats, least: float) -> Floats:
    """From 0 for the smallest to 1 for the greatest, where these are at least `least` apart; else so much less far from
    1/2."""
    low, high = values.min(), values.max()
    spread: Floats = 0.5 + (values - (low + high) / 2) / max(float(high - low), least)
    return spread


def _side(candidates: Sequence[Candidate]) -> float:
    """px: the usual side of a candidate."""
    return float(np.median([np.nanmedian(one.sides) for one in candidates]))


def _together(candidates: Sequence[Candidate], values: Callable[[Candidate], Floats]) -> Floats:
    """The mean of each one's values over the frames in which most candidates are seen; of one that is in none of these,
    over its own. values: (T,), nan where not seen."""
    of = np.stack([values(one) for one in candidates])  # (K, T)
    seen = np.stack([one.seen for one in candidates])
    frames = seen.sum(0) == seen.sum(0).max()
    found = []
    for mine, there in zip(of, seen, strict=True):
        some = mine[frames & there]
        found.append(float(np.mean(some if some.size else mine[there])))
    return np.array(found)


def _x(one: Candidate) -> Floats:
    return one.centres[:, 0]


def _y(one: Candidate) -> Floats:
    return one.centres[:, 1]


def _nearness(candidates: Sequence[Candidate]) -> Floats:
    """How near the camera each is, in usual sides: its lower edge lies lower, and it is larger."""
    bottom = _together(candidates, lambda one: one.boxes[:, 3])
    side = _together(candidates, lambda one: np.sqrt(np.where(one.seen, one.areas, np.nan)))
    return (bottom + side) / _side(candidates)


def _along(side: str, candidates: Sequence[Candidate], size: tuple[int, int]) -> Floats:
    """How far each lies to a side, in usual sides of a candidate, larger for further."""
    unit = _side(candidates)
    if side in ("left", "right"):
        x = _together(candidates, _x) / unit
        return -x if side == "left" else x
    if side in ("top", "bottom"):
        y = _together(candidates, _y) / unit
        return -y if side == "top" else y
    if side in ("front", "near"):
        return _nearness(candidates)
    if side in ("back", "far"):
        return -_nearness(candidates)
    # The middle: of the picture from left to right.
    return -np.abs(_together(candidates, _x) - size[1] / 2) / unit


def _place(value: str, candidates: Sequence[Candidate], size: tuple[int, int]) -> Floats:
    return _spread(_along(value, candidates, size), _PLACES)


def _order(value: str, candidates: Sequence[Candidate], size: tuple[int, int]) -> Floats:
    side, _, number = value.partition(":")
    ranks = np.argsort(np.argsort(-_along(side, candidates, size), kind="stable"), kind="stable") + 1
    at: Floats = (ranks == int(number)).astype(np.float64)
    return at


def _measure(value: str, one: Candidate) -> float:
    """What a superlative or comparative of size compares, as a logarithm; larger where it fits better."""
    width, height = np.nanmedian(one.sides, axis=0)
    length = {"tallest": height, "shortest": height, "longest": max(width, height)}.get(value)
    sign = -1 if value in ("smallest", "smaller", "shortest") else 1
    return sign * float(np.log(np.median(one.areas[one.seen]) if length is None else length))


def _size(value: str, candidates: Sequence[Candidate], size: tuple[int, int]) -> Floats:
    return _spread(np.array([_measure(value, one) for one in candidates]), _SIZES)


_HEADINGS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def _motion(value: str, candidates: Sequence[Candidate], size: tuple[int, int]) -> Floats:
    scale = np.array([_still_px(one) for one in candidates])
    speeds = np.array([one.speed for one in candidates])
    if value in _HEADINGS:
        ways = np.array([one.velocity @ np.array(_HEADINGS[value]) for one in candidates])
        return _beyond(ways, scale)
    if value in ("toward", "away"):
        growth = np.array([one.growth for one in candidates])
        return _beyond(growth if value == "toward" else -growth, np.full(len(growth), _STEADY))
    if value == "turning":
        return _spread(np.array([one.turn for one in candidates]), _TURNS)
    if value in ("fastest", "slowest"):
        return _spread(speeds if value == "fastest" else -speeds, _SPEEDS * _side(candidates))
    if value == "moving":
        return _beyond(speeds, scale)
    # By how much slower than the fastest: what the picture's edge cuts seems to move even where it stands.
    return 1 - speeds / speeds.max() if (speeds > scale).any() else np.ones(len(speeds))


def _still_px(one: Candidate) -> float:
    return _STILL * float(np.nanmedian(one.sides))


def _beyond(values: Floats, least: Floats) -> Floats:
    """0 where a value is not above what counts, else from 1/2 to 1 for the greatest."""
    greatest = max(float(values.max()), 1e-9)
    return np.where(values > least, 0.5 + values / greatest / 2, 0.0)


def _time(value: str, candidates: Sequence[Candidate], size: tuple[int, int]) -> Floats | None:
    count = len(candidates[0].seen)
    starts = np.array([np.flatnonzero(one.seen)[0] for one in candidates])
    ends = np.array([np.flatnonzero(one.seen)[-1] for one in candidates])
    if value in ("first", "last"):
        return _spread((-starts if value == "first" else starts).astype(np.float64), 1)
    if value == "enters":
        return (starts > 0).astype(np.float64)
    if value == "leaves":
        return (ends < count - 1).astype(np.float64)
    return None


#: By kind of clue: takes its value, the candidates and the (H, W) of the frames in px.
TABLES: Mapping[str, Callable[[str, Sequence[Candidate], tuple[int, int]], Floats | None]] = {
    "place": _place,
    "order": _order,
    "size": _size,
    "motion": _motion,
    "time": _time,
}


def between_rivals(clue: Clue, candidates: Sequence[Candidate]) -> Floats | None:
    """How well each candidate stands to the others among them."""
    return _pairs(
        clue, candidates, [[other for other in candidates if other is not one] for one in candidates]
    )


def against(clue: Clue, candidates: Sequence[Candidate], others: Sequence[Candidate]) -> Floats | None:
    """How well each candidate stands to the other things."""
    rivals = [[other for other in others if not _are_one(one, other)] for one in candidates]
    return _pairs(clue, candidates, rivals)


def _are_one(one: Candidate, other: Candidate) -> bool:
    """Whether both are the same thing: "the white dog" may be among the dogs."""
    both = one.seen & other.seen
    if not both.any():
        return False
    a, b = one.boxes[both], other.boxes[both]
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    areas = (np.prod(box[:, 2:] - box[:, :2], axis=1) for box in (a, b))
    return float(np.mean(shared / (sum(areas) - shared))) > _SAME


def _pairs(
    clue: Clue, candidates: Sequence[Candidate], others: Sequence[Sequence[Candidate]]
) -> Floats | None:
    """How well each candidate stands to the best of its others; the least of all where that is unknown. None for no
    relation of two, and where it is unknown of all."""
    if not any(others):
        return None
    if clue.kind == "relation" and clue.value == "between":
        if not all(others):
            return None
        off = np.array([_off_middle(one, mine) for one, mine in zip(candidates, others, strict=True)])
        return _spread(-off / _side(candidates), _PLACES)
    found = []
    for one, mine in zip(candidates, others, strict=True):
        pairs = [_pair(clue, one, other) for other in mine]
        found.append(max((score for score in pairs if score is not None), default=np.nan))
    table = np.array(found)
    if np.isnan(table).all():
        return None
    is_near = clue.kind == "relation" and clue.value in ("next to", "near")
    # Nearness has no least value: what is not known to be near is further off than all others.
    table[np.isnan(table)] = np.nanmin(table) - 1 if is_near else 0.0
    return _spread(table, _PLACES) if is_near else table


def _pair(clue: Clue, one: Candidate, other: Candidate) -> float | None:
    """How well one stands to another as the clue says: in [0, 1], or larger for nearer; None where that is unknown."""
    if clue.kind == "size":
        return float(_measure(clue.value, one) > _measure(clue.value, other))
    if clue.kind == "motion" and clue.value in ("toward", "away"):
        gap = np.linalg.norm(one.centres - other.centres, axis=1)
        gap = gap[~np.isnan(gap)]
        if gap.size < 2:
            return None
        return float((gap[-1] < gap[0]) == (clue.value == "toward"))
    if clue.kind != "relation":
        return None
    both = one.seen & other.seen
    if not both.any():
        return None
    step = np.mean((one.centres - other.centres)[both], axis=0)
    reach = float(np.nanmean(np.concatenate([one.sides[both], other.sides[both]])))
    value = clue.value
    if value in ("left of", "right of"):
        return _soft((-step[0] if value == "left of" else step[0]) / reach)
    if value in ("above", "on", "below", "under"):
        up = _soft((-step[1] if value in ("above", "on") else step[1]) / reach)
        # What lies on or under a thing lies over or below it, not beside it.
        return up * _soft(1 - abs(step[0]) / reach) if value in ("on", "under") else up
    if value in ("in front of", "behind"):
        near = float(np.mean((one.boxes[:, 3] - other.boxes[:, 3])[both])) / reach
        return _soft(near if value == "in front of" else -near)
    if value in ("next to", "near"):
        return -float(np.mean(_gap(one, other)[both])) / reach
    heading = one.velocity + other.velocity
    length = float(np.linalg.norm(heading))
    if length < _still_px(one) + _still_px(other):
        return 0.0
    ahead = float(step @ heading) / length / reach
    return _soft(ahead if value == "leading" else -ahead)


def _soft(value: float) -> float:
    """0 for values well below 0, 1/2 at 0, 1 for values well above."""
    return float(1 / (1 + np.exp(-6 * np.clip(value, -10, 10))))


def _gap(one: Candidate, other: Candidate) -> Floats:
    """(T,) px between two boxes; 0 where they touch."""
    apart = np.maximum(one.boxes[:, :2] - other.boxes[:, 2:], other.boxes[:, :2] - one.boxes[:, 2:])
    gap: Floats = np.linalg.norm(np.maximum(apart, 0), axis=1)
    return gap


def _off_middle(one: Candidate, others: Sequence[Candidate]) -> float:
    """px from the nearest way between two of the others; where there is one, from it."""
    places = [np.nanmean(other.centres, axis=0) for other in others]
    mine = np.nanmean(one.centres, axis=0)
    if len(places) < 2:
        return float(np.linalg.norm(mine - places[0]))
    off = []
    for i, start in enumerate(places):
        for end in places[i + 1 :]:
            way = end - start
            share = float(np.clip((mine - start) @ way / max(float(way @ way), 1e-9), 0, 1))
            # At the ends it is beside both, not between them.
            outside = abs(share - 0.5) * 2
            off.append(
                float(np.linalg.norm(mine - start - share * way)) + outside * float(np.linalg.norm(way)) / 2
            )
    return min(off)
