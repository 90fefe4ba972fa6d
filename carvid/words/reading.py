"""An expression's reading: the phrase for CLIP and the clues beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from carvid.words.grammar import Match, matches
from carvid.words.tokens import Tokens, tokenise
from carvid.words.vocabulary import vocabulary

OWN_KIND = ("another", "other", "others")
VIEWER = frozenset({"camera", "the camera", "the viewer", "us", "me"})
"""Towards whom a thing moves that comes nearer in the picture: no other thing."""

LOOSE = frozenset("is are was were who which that and on in at to of from the a an , ; . : ! ?".split())
"""Words that say nothing at the end of a head, once what followed them is gone."""

_GOES = (("motion", "moving"),)
_HEADINGS = frozenset(("motion", value) for value in ("left", "right", "up", "down", "toward", "away"))
ARTICLES = frozenset({"the", "a", "an"})
LOOSE_BEFORE = frozenset("is are was were who which that and , ; . : ! ?".split())


@dataclass(frozen=True)
class Clue:
    """One thing that an expression says and CLIP cannot read.

    kind: place, order, size, number, motion, relation, time or not. value: see docs/words.md. words: the stretch of the
    text that spoke. other: the noun phrase of a relation, comparison or direction; "" where there is none.
    """

    kind: str
    value: str
    words: str
    other: str = ""

    @property
    def own_kind(self) -> bool:
        """Whether `other` is "another", "another dog", "the others" or the like: things of the head's own kind."""
        return self.other.lower().removeprefix("the ").split(" ")[0] in OWN_KIND


@dataclass(frozen=True)
class Reading:
    """head: what CLIP reads, never empty unless the text is. used, left: stretches of the text, in order, that speak
    through a clue, and that are left to CLIP; every word is in one of them."""

    head: str
    clues: tuple[Clue, ...]
    used: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def several(self) -> bool:
        """Whether the head's noun is a plural, as in "the cars on the left"."""
        words = re.findall(r"[a-z']+", self.head.lower())
        if not words or words[0] in ("a", "an", "one", "this", "that", "another"):
            return False
        classes = vocabulary()
        ends = {*classes["stop"], *classes["go"], *classes["stay"], *classes["turn"]}
        noun = next((words[i - 1] for i in range(1, len(words)) if words[i] in ends), words[-1])
        if noun in classes["plural"]:
            return True
        return (
            noun.endswith("s")
            and not noun.endswith(("ss", "us", "is", "'s"))
            and noun not in classes["single"]
        )


def read(expression: str) -> Reading:
    """Read any text; nothing is loaded, and the same text has the same reading."""
    tokens = tokenise(expression)
    count = len(tokens.starts)
    used, gone = [False] * count, [False] * count
    clues: list[Clue] = []
    found = list(matches(tokens.plain, tokens.starts))
    headed = any(each in _HEADINGS for match in found for each in match.found)
    for match in found:
        if headed and match.found == _GOES and match.keep:
            # "swimming in the sea and swimming away": the direction says it all.
            continue
        words = tokens.indices(*match.span)
        kept = tokens.indices(*match.keep) if match.keep else range(0)
        clues += _clues(tokens, match, words)
        if match.found:
            for index in words:
                used[index] = True
                gone[index] = index not in kept
    return Reading(
        _head(tokens, gone) or expression.strip(),
        tuple(clues),
        _stretches(tokens, used),
        _stretches(tokens, [not it for it in used]),
    )


def _clues(tokens: Tokens, match: Match, words: range) -> list[Clue]:
    # "in a girl's hand" is about a girl.
    other = tokens.stretch(tokens.indices(*match.other)).removesuffix("'s") if match.other else ""
    if other.lower() in VIEWER or all(kind == "time" for kind, _ in match.found):
        other = ""
    text = tokens.stretch(words)
    return [
        Clue(kind, other, text) if kind == "not" else Clue(kind, value, text, other)
        for kind, value in match.found
    ]


def _head(tokens: Tokens, gone: list[bool]) -> str:
    """The words that no clue took away, without the joints that this leaves loose."""
    words = tokens.plain.split()
    parts = []
    for part in _runs([not it for it in gone]):
        start, end = part.start, part.stop
        # "the largest dog": the article goes with what stands behind the clue.
        while end > start and words[end - 1] in (LOOSE if end == len(words) else LOOSE - ARTICLES):
            end -= 1
        while start < end and words[start] in LOOSE_BEFORE:
            start += 1
        if start < end:
            parts.append((range(start, end), tokens.stretch(range(start, end))))
    said = [text for part, text in parts if any(words[index] not in LOOSE for index in part)]
    return " ".join(text for _, text in parts) if said else ""


def _stretches(tokens: Tokens, chosen: list[bool]) -> tuple[str, ...]:
    return tuple(tokens.stretch(part) for part in _runs(chosen))


def _runs(chosen: list[bool]) -> list[range]:
    """The neighbouring indices that are chosen, together."""
    runs: list[range] = []
    for index, it in enumerate(chosen):
        if it and runs and runs[-1].stop == index:
            runs[-1] = range(runs[-1].start, index + 1)
        elif it:
            runs.append(range(index, index + 1))
    return runs
