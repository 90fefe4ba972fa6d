"""What is fetched from the hub, told before it starts and while it comes, to whoever watches this process.

A library says nothing by itself; the command line watches (`carvid.cli.download_progress`). This module imports nothing
heavy, so watching costs a run with weights at hand nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Wanted:
    """What is fetched of one repository.

    files: names of the files that are not in the cache yet. size_bytes: of all of them; None if that is unknown.
    """

    repository: str
    files: tuple[str, ...]
    size_bytes: int | None


@dataclass(frozen=True)
class Download:
    """What is about to be fetched.

    folder: the hub's cache, into which it goes. instead: what can be done without these weights, in words.
    """

    wanted: tuple[Wanted, ...]
    folder: str
    instead: str

    @property
    def size_bytes(self) -> int | None:
        """Of everything; None if part of it is unknown."""
        sizes = [one.size_bytes for one in self.wanted]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Download:
        wanted = tuple(Wanted(**{**one, "files": tuple(one["files"])}) for one in values["wanted"])
        return cls(wanted, values["folder"], values["instead"])


class Watch(Protocol):
    """Is told of each download of this process."""

    def begin(self, download: Download) -> None:
        """Nothing of it has been fetched yet."""
        ...

    def advance(self, repository: str, done: int, total: int) -> None:
        """Called now and then, with the bytes fetched of a repository so far and those there are."""
        ...

    def end(self) -> None:
        """It is over, whether it succeeded or not."""
        ...


class _Nobody:
    def begin(self, download: Download) -> None: ...
    def advance(self, repository: str, done: int, total: int) -> None: ...
    def end(self) -> None: ...


_watch: Watch = _Nobody()


def watch(watcher: Watch) -> None:
    """From now on, tell `watcher` of the downloads of this process, in place of who was told before."""
    global _watch
    _watch = watcher


def watching() -> Watch:
    """Who is told."""
    return _watch
