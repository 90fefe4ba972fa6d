"""Queries as one text, as other tools' parameters are."""

from __future__ import annotations

from carvid.wording import checked_queries, distinct

SEPARATOR = ";"


def split_queries(text: str) -> tuple[str, ...]:
    """The queries of `a red car; a person`, each once.

    Raises UsageError for none, and for those that cannot be used.
    """
    return checked_queries(distinct(part.strip() for part in text.split(SEPARATOR) if part.strip()))
