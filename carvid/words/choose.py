"""Choosing among a query's things by the clues of its expression: a score table per clue, multiplied.

In the manner of ReCLIP (S. Subramanian et al., ACL 2022), which does so for boxes in one image; here they have tracks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from carvid.errors import UsageError
from carvid.words.candidates import Candidate, Floats
from carvid.words.clue_tables import TABLES, against, between_rivals
from carvid.words.reading import Clue

#: What a clue leaves of a candidate's score where it speaks against it most: no clue alone rules a candidate out.
LEAST = 0.05
# Below this spread of its table a clue holds alike for all candidates.
_ALIKE = 0.1
# Numbers that mean all that the other clues leave.
_ALL = ("all", "group")
# "on the left" and "the largest" mean the utmost one: the second is meant far less.
_UTMOST = ("place", "size")
# A verb of going or staying says little by itself.
_WEAK = {("motion", "moving"), ("motion", "still")}


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
        if not known and clue.own_kind:
            table = between_rivals(clue, candidates)
        elif known:
            table = against(clue, candidates, known)
        elif clue.kind == "not" and clue.value in showing:
            table = 1 - np.array(showing[clue.value], np.float64)
        elif not clue.other and clue.kind in TABLES:
            table = TABLES[clue.kind](clue.value, candidates, size)
    if table is None or table.max() < 0.5 or table.max() - table.min() < _ALIKE:
        return Said(clue, (1.0,) * len(candidates), decisive=False)
    table = np.clip(table, 0, 1)
    if clue.kind in _UTMOST:
        table = table**2
    scores = LEAST + (1 - LEAST) * table
    if (clue.kind, clue.value) in _WEAK:
        scores = np.sqrt(scores)
    return Said(clue, tuple(scores.tolist()), decisive=True)
