"""Which samples a data set has, and which part of them a `carvid.evaluate.contract.Choice` names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from carvid.errors import InputError, UsageError
from carvid.evaluate.contract import Choice, Sample
from carvid.problems import listing


def chosen_split(choice: Choice, splits: Sequence[str]) -> str:
    """The split, by default the first. Raises UsageError for one that there is not."""
    split = splits[0] if choice.split is None else choice.split
    if split not in splits:
        raise UsageError(f"no split {split!r}; expected one of {', '.join(splits)}")
    return split


def chosen_names(choice: Choice, names: Sequence[str]) -> tuple[str, ...]:
    """The samples of `only`, and of these the first ones, in the data set's order.

    Raises UsageError for a sample in `only` that there is not, and where `first` is less than 1.
    """
    if choice.first is not None and choice.first < 1:
        raise UsageError(f"the first {choice.first} samples: expected at least 1")
    if choice.only is not None:
        known, wanted = set(names), set(choice.only)
        unknown = [name for name in choice.only if name not in known]
        if unknown:
            raise UsageError(f"the split has no {listing(unknown, ', ')}")
        names = [name for name in names if name in wanted]
    return tuple(names[: choice.first])


def repeated(ids: Iterable[str]) -> list[str]:
    """The ids that occur more than once; their predictions would lie in one file."""
    return [one for one, count in Counter(ids).items() if count > 1]


def each(names: Sequence[str], make: Callable[[str], Sample], problems: list[str]) -> tuple[Sample, ...]:
    """The sample that `make` makes of each name, in threads. What it says is wrong, as InputError, is added to
    `problems`, and that name left out."""

    def made(name: str) -> Sample | str:
        try:
            return make(name)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor() as threads:
        found = list(threads.map(made, names))
    problems.extend(one for one in found if isinstance(one, str))
    return tuple(one for one in found if isinstance(one, Sample))
