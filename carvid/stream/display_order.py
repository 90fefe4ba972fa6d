"""Ordinals of decoded frames in display order, and of the frames that damage took."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from carvid.stream.source import Damage

T = TypeVar("T")


class DisplayOrder(Generic[T]):
    """Numbers the frames a decoder gives, and the ones it should have given.

    In an undamaged stream the ordinal is the plain count of decoded frames: packets that make no frame of
    their own (hidden reference frames) count for nothing. From the first damaged packet to the next good
    frame, each packet stands for one frame, placed by its timestamp; without timestamps the frames that were
    saved come first.

    Timestamps (pts) are in any unit, None where missing. Memory is bounded by the decoder's delay. `first` is the
    ordinal of the first frame, `largest_step` that between the timestamps of two frames in a row before it.
    """

    def __init__(self, first: int = 0, largest_step: int = 0) -> None:
        self.next_index = first
        self._pending: deque[int | None] = deque()  # sent to the decoder, not yet out; decode order
        self._last_pts: int | None = None  # of the frame given last, when no gap followed it
        self._largest_step = largest_step  # between the timestamps of two frames given in a row
        self._reason: str | None = None  # of the gap that is open
        self._held: list[tuple[int | None, T]] = []  # good frames that may be shown after a lost one
        self._lost: list[int | None] = []
        self._lost_after = 0  # lost frames shown after every held one

    def sent(self, pts: int | None) -> None:
        """A packet goes to the decoder."""
        self._pending.append(pts)

    def decoded(self, pts: int | None, frame: T) -> Iterator[tuple[int, T] | Damage]:
        """A good frame came out; gives it with its ordinal, after what an open gap held back."""
        if self._reason is not None:
            # Pictures shown before a key frame but sent after it lean on what was lost; decoders drop them.
            self._lost.extend(other for other in self._pending if _is_before(other, pts))
            yield from self._close_gap()
        if pts is None:
            if self._pending:
                self._pending.popleft()
        else:
            self._pending = deque(other for other in self._pending if other is None or other > pts)
        yield self._number(pts, frame)

    def broken(
        self, pts: int | None, reason: str, drained: Sequence[tuple[int | None, T]]
    ) -> Iterator[tuple[int, T] | Damage]:
        """The packet or frame `pts` is damaged, and the decoder was emptied: `drained` is what came out.

        Frames sent before the damaged one are good; those sent after it may lean on it and are lost. Gives
        what an earlier gap held back, when a good frame lies between the two.
        """
        if pts is not None and pts in self._pending:
            good = set(list(self._pending)[: self._pending.index(pts)])
            drained = [(other, frame) for other, frame in drained if other in good]
        if self._reason is not None and drained:
            yield from self._close_gap()
        pending = list(self._pending)
        self._pending.clear()
        if self._reason is None:
            self._reason = reason
        self._held.extend(drained)
        saved = {other for other, _ in drained}
        if None in pending:
            self._lost.extend([None] * max(1, len(pending) - len(drained)))
        else:
            self._lost.extend([other for other in pending if other not in saved] or [pts])

    def skipped(self, pts: int | None) -> None:
        """A packet was not sent because it leans on what was lost."""
        if any(_is_before(pts, held) for held, _ in self._held):
            self._lost.append(pts)
        else:
            self._lost_after += 1

    def finished(
        self, cut_short: str | None, drained: Sequence[tuple[int | None, T]]
    ) -> Iterator[tuple[int, T] | Damage]:
        """The stream ended; `drained` was still in the decoder, `cut_short` says why more should have come.

        Where a stream is cut, packets may be missing of frames shown before the last ones decoded. So it ends
        at the first frame lost, or at a larger step in time than any before: what follows cannot be numbered.
        """
        if cut_short is None:
            for pts, frame in drained:
                yield from self.decoded(pts, frame)
            if self._reason is not None:
                yield from self._close_gap()
            return
        if self._reason is not None and drained:
            yield from self._close_gap()
        for pts, frame in _in_display_order([*self._held, *drained]):
            if any(_is_before(lost, pts) for lost in self._lost) or not self._follows(pts):
                break
            yield self._number(pts, frame)
        yield Damage(self.next_index, None, self._reason or cut_short)

    def _number(self, pts: int | None, frame: T) -> tuple[int, T]:
        if pts is not None and self._last_pts is not None:
            self._largest_step = max(self._largest_step, pts - self._last_pts)
        self._last_pts = pts
        self.next_index += 1
        return self.next_index - 1, frame

    def _follows(self, pts: int | None) -> bool:
        if pts is None or self._last_pts is None or self._largest_step == 0:
            return True
        # Timestamps in milliseconds make steps of 33 and 34 of one frame rate.
        return 2 * (pts - self._last_pts) <= 3 * self._largest_step

    def _close_gap(self) -> Iterator[tuple[int, T] | Damage]:
        reason = self._reason or ""
        first_lost: int | None = None
        for pts, frame in _in_display_order([*self._held, *((lost, None) for lost in self._lost)]):
            if frame is None:
                first_lost = self.next_index if first_lost is None else first_lost
                self.next_index += 1
                continue
            if first_lost is not None:
                yield Damage(first_lost, self.next_index - 1, reason)
                first_lost = self._last_pts = None
            yield self._number(pts, frame)
        if first_lost is None and self._lost_after:
            first_lost = self.next_index
        self.next_index += self._lost_after
        if first_lost is not None:
            yield Damage(first_lost, self.next_index - 1, reason)
            self._last_pts = None
        self._reason, self._held, self._lost, self._lost_after = None, [], [], 0


def _in_display_order(entries: list[tuple[int | None, T]]) -> list[tuple[int | None, T]]:
    """Sorted by timestamp; as they come where one is missing."""
    known = [(pts, at) for at, (pts, _) in enumerate(entries) if pts is not None]
    if len(known) < len(entries):
        return entries
    return [entries[at] for _, at in sorted(known)]


def _is_before(pts: int | None, other: int | None) -> bool:
    return pts is not None and other is not None and pts < other
