"""The queries of a video, read: what an engine is asked in their place, and what is left to choose by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from carvid.evidence import UsedWords, WordsRecord
from carvid.wording import MOST_QUERIES, checked_queries, distinct, folded
from carvid.words.choose import Choice
from carvid.words.reading import Clue, Reading, read


@dataclass(frozen=True)
class Other:
    """The other thing of a clue.

    name: as `Clue.other` has it. place: of its head among what is asked. clues: its own.
    """

    name: str
    place: int
    clues: tuple[Clue, ...]


@dataclass(frozen=True)
class Expression:
    """One query. place: of its head among what is asked. others: the things that its clues relate it to."""

    text: str
    reading: Reading
    place: int
    others: tuple[Other, ...]

    @property
    def speaks(self) -> bool:
        """Whether some of its words are not left to the engine."""
        return bool(self.reading.clues)

    @property
    def unlike(self) -> tuple[str, ...]:
        """What the thing is not, or does not have."""
        return tuple(clue.value for clue in self.reading.clues if clue.kind == "not")

    def record(self, choice: Choice | None) -> WordsRecord | None:
        """What became of its words. choice: None where nothing was found to choose among."""
        if not self.speaks:
            return None
        decisive = {one.clue for one in choice.said if one.decisive} if choice is not None else set()
        used = tuple(
            UsedWords(clue.words, clue.kind, clue.value, clue in decisive) for clue in self.reading.clues
        )
        return WordsRecord(self.reading.head, used, self.reading.left)

    def told(self) -> str:
        """In a line: what is used and what is left to the engine."""
        used = ", ".join(f"{clue.words!r} ({clue.kind} {clue.value})" for clue in self.reading.clues)
        return f"{self.text!r}: CLIP reads {self.reading.head!r}; used to choose: {used}"


@dataclass(frozen=True)
class Expressions:
    """The queries of one video, in the caller's order.

    asked: what an engine is asked instead, each text once: the heads, and the heads of the things they are related to.
    """

    each: tuple[Expression, ...]
    asked: tuple[str, ...]

    @classmethod
    def of(cls, queries: Sequence[str]) -> Expressions:
        """Raises UsageError for queries that cannot be used."""
        texts = checked_queries(queries)
        readings = [read(text) for text in texts]
        # Without clues the engine reads the text as it is.
        heads = [one.head if one.clues else text for text, one in zip(texts, readings, strict=True)]
        related = [
            [(clue.other, read(clue.other)) for clue in one.clues if _needs_other(clue)] for one in readings
        ]
        asked = distinct([*heads, *(other.head for each in related for _, other in each)])[:MOST_QUERIES]
        place = {folded(text): i for i, text in enumerate(asked)}
        each = tuple(
            Expression(
                text,
                reading,
                place[folded(head)],
                tuple(
                    Other(name, place[folded(other.head)], other.clues)
                    for name, other in others
                    if folded(other.head) in place
                ),
            )
            for text, reading, head, others in zip(texts, readings, heads, related, strict=True)
        )
        return cls(each, asked)

    @property
    def speak(self) -> bool:
        """Whether any has words that are not left to the engine."""
        return any(one.speaks for one in self.each)

    def first(self, i: int, *, exact: bool = False) -> int:
        """The place of the first expression that reads as expression i does or, if `exact`, has the same text."""
        alike = str if exact else folded
        return [alike(one.text) for one in self.each].index(alike(self.each[i].text))

    def describe(self) -> list[dict[str, Any]]:
        """For a record, as plain data."""
        return [
            {
                "query": one.text,
                "head": self.asked[one.place],
                "clues": [
                    {"kind": clue.kind, "value": clue.value, "words": clue.words, "other": clue.other}
                    for clue in one.reading.clues
                ],
                "left": list(one.reading.left),
            }
            for one in self.each
        ]


def _needs_other(clue: Clue) -> bool:
    return bool(clue.other) and not clue.own_kind
