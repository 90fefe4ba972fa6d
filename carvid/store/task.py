"""A video on its way: requested, given to a worker, labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class VideoRequest:
    """A video to label, as it was asked for.

    path: relative to the input's root, as text. source: absolute. queries: distinct, at least one.
    """

    path: str
    source: str
    queries: tuple[str, ...]
    start_frame: int = 0
    stop_frame: int | None = None

    @property
    def key(self) -> tuple[str, int, int | None]:
        """What makes it the same video in another run."""
        return self.source, self.start_frame, self.stop_frame


@dataclass(frozen=True)
class Task:
    """A video, or a piece of one, given to a worker. query_ids and queries correspond item by item.

    start_frame, stop_frame: those of the video. piece: which of the pieces of `carvid.store.cut.Cut`; None: all of it.
    """

    video_id: int
    path: str
    source: str
    start_frame: int
    stop_frame: int | None
    query_ids: tuple[int, ...]
    queries: tuple[str, ...]
    piece: int | None = None

    @property
    def key(self) -> str:
        """Tells it from every other task of its dataset."""
        return f"{self.video_id}" if self.piece is None else f"{self.video_id}-{self.piece}"

    @property
    def whole(self) -> int:
        """The video it is a part of."""
        return self.video_id

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Task:
        lists = {"query_ids": tuple(values["query_ids"]), "queries": tuple(values["queries"])}
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class Outcome:
    """What is known about a video, or a piece of one, once it is labelled; see `carvid.store.rows.Video`.

    sha256: None for all pieces but the first. frame_rate: 'num/den', or None. damage: JSON objects with first_frame,
    last_frame and reason. no_frame: of a piece, why it has no frame, and so no width and height; else None.
    """

    sha256: str | None
    size_bytes: int | None
    width: int | None
    height: int | None
    frame_rate: str | None
    frame_count: int
    damage: Sequence[Mapping[str, Any]] = ()
    no_frame: str | None = None


def as_text(name: str) -> str:
    """The name as text a database holds: bytes of a file name that are not UTF-8 are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
