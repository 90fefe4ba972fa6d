"""An expression as words: where each stands in the text, and what is meant by it where it is misspelt."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

from carvid.words.vocabulary import vocabulary

WORD = re.compile(r"[^\W_]+(?:['’](?:t|s)\b)?|[,;.:!?]")
SHORTEST_SLIP = 5
"""Shorter words have too many neighbours that mean something else."""

NO_SOURCE = (
    "slips",
    "distinct",
    "compound",
    "colour",
    "part",
    "scene",
    "stop",
    "plural",
    "single",
    "bearer",
    "slope",
    "body",
)
"""Classes whose words are not what a slip is taken for."""


@dataclass(frozen=True)
class Tokens:
    """An expression and its plain form: lower case, slips mended, words parted by one space.

    starts: where each plain word starts in `plain`. spans: (start, end) in `text` of the word it stands for.
    """

    text: str
    plain: str
    starts: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    def indices(self, start: int, end: int) -> range:
        """The plain words within a stretch of `plain`."""
        return range(bisect_left(self.starts, start), bisect_left(self.starts, end))

    def stretch(self, words: range) -> str:
        """The text of neighbouring words, as it was written."""
        return self.text[self.spans[words[0]][0] : self.spans[words[-1]][1]] if words else ""


def tokenise(text: str) -> Tokens:
    """The words of any text; a hyphen parts words."""
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for found in WORD.finditer(text):
        for word in mended(found[0].lower().replace("’", "'")).split() or [found[0]]:
            words.append(word)
            spans.append(found.span())
    starts = [0]
    for word in words[:-1]:
        starts.append(starts[-1] + len(word) + 1)
    return Tokens(text, " ".join(words), tuple(starts) if words else (), tuple(spans))


@lru_cache(maxsize=4096)
def mended(word: str) -> str:
    """The word that is meant: itself, that of a listed slip, or the one word of the vocabulary one edit away."""
    classes = vocabulary()
    if word in classes["slips"]:
        return classes["slips"][word]
    # "skaters" are who skates, not a slip of it.
    if len(word) < SHORTEST_SLIP or not word.isalpha() or word.endswith("ers") or word in _known():
        return word
    near = {known for known in _sources() if known[0] == word[0] and _one_edit(word, known)}
    return near.pop() if len(near) == 1 else word


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(
        part for phrases in vocabulary().values() for phrase in phrases for part in phrase.split()
    )


@lru_cache(maxsize=1)
def _sources() -> tuple[str, ...]:
    own = {phrase for name, phrases in vocabulary().items() if name not in NO_SOURCE for phrase in phrases}
    own |= {"behind", "between", "beneath", "above", "below", "another", "without", "following", "closest"}
    return tuple(sorted(word for word in own if len(word) >= SHORTEST_SLIP and word.isalpha()))


def _one_edit(a: str, b: str) -> bool:
    """Whether one letter more, less or other, or two neighbours exchanged, makes a out of b."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        swapped = a[start + 1 : start + 2] + a[start : start + 1] + a[start + 2 :]
        return a[start + 1 :] == b[start + 1 :] or swapped == b[start:]
    long, short = (a, b) if len(a) > len(b) else (b, a)
    return long[start + 1 :] == short[start:]
