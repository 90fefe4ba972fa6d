"""Cutting a video into pieces: which frames each has, where the video ends, and its damage by theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carvid.stream.source import Damage, Selection


@dataclass(frozen=True)
class Cut:
    """How a selection of frames is cut: piece k begins at start + k * frames * every.

    frames: how many frames of the selection a piece has; the last may have fewer.
    """

    frames: int

    def part(self, whole: Selection, piece: int) -> Selection:
        """The frames of a piece."""
        start = whole.start + piece * self.frames * whole.every
        stop = start + self.frames * whole.every
        return Selection(start, stop if whole.stop is None else min(stop, whole.stop), whole.every)

    def most(self, whole: Selection) -> int | None:
        """How many pieces there are at most; None where the selection has no stop."""
        return None if whole.stop is None else -(-whole.count(whole.stop) // self.frames)

    def is_last(self, whole: Selection, piece: int, frame_count: int, damage: Sequence[Damage]) -> bool:
        """Whether a piece shows that the video ends in it or before it: it has come out short, or reaches the stop.

        frame_count, damage: what reading the piece gave. What the file claims to hold does not count.
        """
        part = self.part(whole, piece)
        lost = sum(
            part.count(each.last_frame + 1) - part.count(each.first_frame)
            for each in damage
            if each.last_frame is not None
        )
        return part.stop == whole.stop or frame_count + lost < self.frames

    def joined(self, whole: Selection, damage: Sequence[Sequence[Damage]]) -> list[Damage]:
        """The damage of a video by what was met on reading each of its pieces, from the first to the last.

        A run of lost frames that goes on over a seam was met in both pieces, and one before a piece may be met again.
        """
        found: list[Damage] = []
        for piece, met in enumerate(damage):
            part = self.part(whole, piece)
            # The first and the last piece tell of all that lies before and after, as an uncut video does.
            low = part.start if piece else 0
            high = None if piece == len(damage) - 1 or part.stop is None else part.stop - 1
            for each in met:
                first = max(low, each.first_frame)
                last = min((end for end in (each.last_frame, high) if end is not None), default=None)
                if last is not None and last < first:
                    continue
                before = found[-1] if found else None
                if (
                    before
                    and piece
                    and first == low
                    and (before.last_frame, before.reason) == (low - 1, each.reason)
                ):
                    found[-1] = Damage(before.first_frame, last, each.reason)
                else:
                    found.append(Damage(first, last, each.reason))
        return found
