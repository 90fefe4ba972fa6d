"""The part of a data set that a `Choice` asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from carvid.errors import UsageError
from carvid.evaluate.contract import Choice
from carvid.evaluate.problems import listing


def split_of(choice: Choice, splits: Sequence[str]) -> str:
    """The split asked for, by default the first. Raises UsageError for one that there is not."""
    if choice.split is None:
        return splits[0]
    if choice.split not in splits:
        raise UsageError(f"no split {choice.split!r}; expected one of {', '.join(splits)}")
    return choice.split


def chosen_names(names: Sequence[str], choice: Choice) -> tuple[str, ...]:
    """The samples asked for, in the data set's order. Raises UsageError for names that are not in it."""
    if choice.first is not None and choice.first < 1:
        raise UsageError(f"the first {choice.first} samples: expected 1 or more")
    if choice.only is not None:
        known = set(names)
        unknown = [name for name in choice.only if name not in known]
        if unknown:
            raise UsageError(f"not in the split: {listing(unknown, ', ')}; expected names of its samples")
        names = [name for name in names if name in set(choice.only)]
    return tuple(names[: choice.first])


def repeated(ids: Iterable[str]) -> list[str]:
    """The ids that occur more than once; their predictions would lie in one file."""
    return [one for one, count in Counter(ids).items() if count > 1]
