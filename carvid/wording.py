"""Texts: what a query may be, which are the same, and how one is worded before it is embedded."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from carvid.errors import UsageError

#: The placeholder for the query in a template.
SLOT = "{}"

# A label map is 8 bits deep, and 0 is the background.
MOST_QUERIES = 255


def not_text(text: str) -> str | None:
    """What in `text` UTF-8 cannot hold, as the end of a message; None for a text it can.

    Such texts come from arguments and file names that are not UTF-8, and from lone surrogates in JSON and YAML.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"holds {text[error.start]!r}, a byte that is not UTF-8 or half of a surrogate pair; "
            "expected UTF-8 text"
        )
    return None


def check_text(text: str, what: str) -> None:
    """Raise UsageError for a text that UTF-8 cannot hold. what: how the message calls it."""
    if wrong := not_text(text):
        raise UsageError(f"{what} {text!r} {wrong}")


def checked_queries(queries: Sequence[str]) -> tuple[str, ...]:
    """The queries, as a tuple.

    Raises UsageError for none, one that is empty or no text, or more than a label map can tell apart.
    """
    if isinstance(queries, str):
        raise UsageError(f"queries is the text {queries!r}; expected a list of texts")
    if not queries:
        raise UsageError("no query: expected at least one expression, such as 'the red car'")
    for i, query in enumerate(queries):
        if not query.strip():
            raise UsageError(f"query {i + 1} of {len(queries)} is empty: expected words")
        check_text(query, "the query")
    if len(queries) > MOST_QUERIES:
        raise UsageError(
            f"{len(queries)} queries; expected at most {MOST_QUERIES}, the labels of an 8-bit mask"
        )
    return tuple(queries)


def folded(text: str) -> str:
    """What CLIP reads of a text: in Unicode's form NFC, runs of space as one space, in lower case.

    Texts of the same `folded` are one text: as rivals in a softmax, they would halve each other's score.
    """
    # NFC once more: the lower case of some letters is two characters, for which there is one.
    lower = unicodedata.normalize("NFC", text).lower()
    return " ".join(unicodedata.normalize("NFC", lower).split())


def distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts as they were given, without those that `folded` makes the same as one before."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(folded(text), text)
    return tuple(first.values())


def check_template(template: str) -> None:
    """Raise UsageError for a template without `{}`, or one that is no text."""
    check_text(template, "the template")
    if SLOT not in template:
        raise UsageError(f"the template {template!r} has no place for the query: expected {SLOT} in it")


def fill(template: str, query: str) -> str:
    """Put `query` in place of every `{}` in `template`; other braces, in either text, are kept as they are.

    Raises UsageError for a template without `{}`.
    """
    check_template(template)
    return template.replace(SLOT, query)
