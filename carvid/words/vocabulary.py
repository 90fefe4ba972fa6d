"""The fixed vocabulary, read from vocabulary.txt beside this file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

PATH = Path(__file__).with_name("vocabulary.txt")


@lru_cache(maxsize=1)
def vocabulary() -> Mapping[str, Mapping[str, str]]:
    """Class -> phrase in lower case -> what it stands for (itself, unless the table says otherwise)."""
    classes: dict[str, dict[str, str]] = {}
    for line in PATH.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, phrases = line.partition(": ")
            pairs = (phrase.partition("=") for phrase in phrases.split(", "))
            classes[name] = {phrase: value or phrase for phrase, _, value in pairs}
    return classes


def pattern(name: str) -> str:
    """A regular expression for any phrase of a class, the longest first."""
    phrases = sorted(vocabulary()[name], key=len, reverse=True)
    return "(?:" + "|".join(map(re.escape, phrases)) + ")"
