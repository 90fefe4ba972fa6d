"""Choosing among a query's things by the clues of its expression: a score table per clue, multiplied.

In the manner of ReCLIP (S. Subramanian et al., ACL 2022), which does so for boxes in one image; here they have tracks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from carvid.errors import UsageError
from carvid.words.candidates import Candidate, Floats
from carvid.words.reading import Clue

#: What a clue leaves of a candidate's score where it speaks against it most: no clue alone rules a candidate out.
LEAST = 0.05
# Below this spread of its table a clue holds alike for all candidates.
_ALIKE = 0.1
# What differs by less than this counts for less, in proportion: of a side, of an area or length by its logarithm, of a
# speed as a share of the thing's size a frame, and of a turn in radians.
_PLACES, _SIZES, _SPEEDS, _TURNS = 0.25, 0.2, 0.01, 0.3
# Numbers that mean all that the other clues leave.
_ALL = ("all", "group")
# Things that share this much of their boxes are one thing, found by two names.
_SAME = 0.7
# "on the left" and "the largest" mean the utmost one: the second is meant far less.
_UTMOST = ("place", "size")
# A verb of going or staying says little by itself.
_WEAK = {("motion", "moving"), ("motion", "still")}
# px a frame, as a share of the candidate's size: below it a thing stands still.
_STILL = 0.005
# Share of its area by which a thing grows a frame, below which it comes no nearer.
_STEADY = 0.003


@dataclass(frozen=True)
class Said:
    """What one clue says of the candidates.

    scores: one per candidate, in [LEAST, 1]; all 1 where it is not decisive.
    decisive: whether some candidate satisfies it, and another less.
    """

    clue: Clue
    scores: tuple[float, ...]
    decisive: bool


@dataclass(frozen=True)
class Choice:
    """chosen: the candidates' numbers, best first. scores: the base scores times what each clue says."""

    chosen: tuple[int, ...]
    scores: tuple[float, ...]
    base: tuple[float, ...]
    said: tuple[Said, ...]

    @property
    def decides(self) -> bool:
        """Whether the words leave out a candidate: a clue is decisive, or a number is asked and there are more."""
        counted = any(one.clue.kind == "number" and one.clue.value not in _ALL for one in self.said)
        return any(one.decisive for one in self.said) or (counted and len(self.chosen) < len(self.scores))

    def explain(self, names: Sequence[str]) -> str:
        """A line per candidate: what each clue said for or against it. names: of the candidates."""
        lines = []
        for i, name in enumerate(names):
            parts = [f"{self.base[i]:.2f} by itself"]
            parts += [
                f"x {one.scores[i]:.2f} {one.clue.words!r}"
                if one.decisive
                else f"{one.clue.words!r} not decisive"
                for one in self.said
            ]
            mark = "*" if i in self.chosen else " "
            lines.append(f"{mark} {name}: {', '.join(parts)} = {self.scores[i]:.3f}")
        return "\n".join(lines)


def choose(
    candidates: Sequence[Candidate],
    clues: Sequence[Clue],
    size: tuple[int, int],
    *,
    base: Sequence[float] | None = None,
    others: Mapping[str, Sequence[Candidate]] | None = None,
    showing: Mapping[str, Sequence[float]] | None = None,
    several: bool = False,
) -> Choice:
    """Choose among at least one candidate.

    size: (H, W) of the frames in px. base: how well each fits the expression without its clues, above 0; None for all
    alike. others: the things that the noun phrase of a clue names, by `Clue.other`; where it is "another" or the like,
    these are the other candidates. A clue whose other thing is not known is not decisive. showing: how well each
    candidate shows what a `not` clue names, in [0, 1], by `Clue.value`.
    several: whether the expression means several things, though it gives no number (`Reading.several`).
    What stands before "then" is judged in the first half of the frames, and what stands after it in the second.
    The only candidate stays whatever the clues say. Of equal candidates the first is chosen.
    Raises UsageError for no candidate, one that is never seen, and base scores that are not one above 0 for each.
    """
    first = tuple(1.0 for _ in candidates) if base is None else tuple(map(float, base))
    if not candidates:
        raise UsageError("no candidate to choose from; expected at least one")
    if unseen := [i for i, one in enumerate(candidates) if not one.seen.any()]:
        raise UsageError(f"candidate {unseen[0]} is seen in no frame; leave it out")
    if len(first) != len(candidates) or not all(0 < score < np.inf for score in first):
        raise UsageError(
            f"the base scores are {first}; expected {len(candidates)} numbers above 0, one for each candidate"
        )
    said = _in_order(candidates, clues, size, others or {}, showing or {})
    totals = np.array(first) * np.prod([one.scores for one in said], axis=0) if said else np.array(first)
    order = sorted(range(len(candidates)), key=lambda i: -totals[i])
    return Choice(tuple(order[: _count(said, totals, several)]), tuple(totals.tolist()), first, said)


def _count(said: Sequence[Said], totals: Floats, several: bool) -> int:
    """How many candidates an expression means."""
    values = [one.clue.value for one in said if one.clue.kind == "number"]
    if not values and not several:
        return 1
    if not values or values[0] in _ALL:
        # "all the cars on the left": those of which the other clues hold nearly as well as of the best.
        decided = any(one.decisive for one in said)
        return int(np.count_nonzero(totals >= totals.max() / 2)) if decided else len(totals)
    return 2 if values[0] == "both" else int(values[0])


def _in_order(
    candidates: Sequence[Candidate],
    clues: Sequence[Clue],
    size: tuple[int, int],
    others: Mapping[str, Sequence[Candidate]],
    showing: Mapping[str, Sequence[float]],
) -> tuple[Said, ...]:
    """What each clue says, those before and after "then" each of their half."""
    middle = next((i for i, clue in enumerate(clues) if (clue.kind, clue.value) == ("time", "then")), None)
    half = len(candidates[0].seen) // 2
    if middle is None or not all(one.seen[:half].any() and one.seen[half:].any() for one in candidates):
        return tuple(_said(clue, candidates, size, others, showing) for clue in clues)
    said = []
    for i, clue in enumerate(clues):
        frames = slice(half) if i < middle else slice(half, None)
        parts = [one.during(frames) for one in candidates]
        known = {name: [thing.during(frames) for thing in things] for name, things in others.items()}
        said.append(_said(clue, parts, size, known, showing))
    ordered = any(one.decisive for one in said)
    said[middle] = Said(clues[middle], (1.0,) * len(candidates), decisive=ordered)
    return tuple(said)


def _said(
    clue: Clue,
    candidates: Sequence[Candidate],
    size: tuple[int, int],
    others: Mapping[str, Sequence[Candidate]],
    showing: Mapping[str, Sequence[float]],
) -> Said:
    table = None
    if len(candidates) > 1:
        known = [one for one in others.get(clue.other, ()) if one.seen.any()]
        if not known and is_own_kind(clue):
            table = _between_rivals(clue, candidates)
        elif known:
            table = _against(clue, candidates, known)
        elif clue.kind == "not" and clue.value in showing:
            table = 1 - np.array(showing[clue.value], np.float64)
        elif not clue.other and clue.kind in _TABLES:
            table = _TABLES[clue.kind](clue.value, candidates, size)
    if table is None or table.max() < 0.5 or table.max() - table.min() < _ALIKE:
        return Said(clue, (1.0,) * len(candidates), decisive=False)
    table = np.clip(table, 0, 1)
    if clue.kind in _UTMOST:
        table = table**2
    scores = LEAST + (1 - LEAST) * table
    if (clue.kind, clue.value) in _WEAK:
        scores = np.sqrt(scores)
    return Said(clue, tuple(scores.tolist()), decisive=True)


def is_own_kind(clue: Clue) -> bool:
    """Whether the clue's other thing is of the head's own kind: "another", "another dog", "the others"."""
    return clue.own_kind or clue.other.lower().split(" ")[0] in ("another", "other", "others")


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


_TABLES: Mapping[str, Callable[[str, Sequence[Candidate], tuple[int, int]], Floats | None]] = {
    "place": _place,
    "order": _order,
    "size": _size,
    "motion": _motion,
    "time": _time,
}


def _between_rivals(clue: Clue, candidates: Sequence[Candidate]) -> Floats | None:
    return _pairs(
        clue, candidates, [[other for other in candidates if other is not one] for one in candidates]
    )


def _against(clue: Clue, candidates: Sequence[Candidate], others: Sequence[Candidate]) -> Floats | None:
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
