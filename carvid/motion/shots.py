"""Where one shot ends and the next begins: hard cuts, dissolves and fades, found while the frames pass.

Two frames of one shot show the same scene, so optical flow lays one over the other, however the camera moves; across
a cut no flow does. A pair's `likeness` after such a warp is what hard cuts are judged by. A flash, or a thing that
passes before the lens, breaks the likeness of neighbours as a cut does, but the scene comes back: then a frame before
it and a frame after it are alike. In a dissolve neighbours stay alike and only the ends differ. What gives it away is
that a mixture of two pictures that have nothing to do with each other has less contrast than either: with the weights
1 - a and a, the variance is (1 - a)^2 V1 + a^2 V2, half the ends' mean when a = 1/2 (A. Alattar, "Detecting and
compressing dissolve regions in video sequences with a DVI multimedia image compression algorithm", ISCAS 1993), and
that the mixture's colours go from the one end to the other along a straight line. A fade loses all contrast midway.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from carvid.motion.flow import grey, warp

LOOKAHEAD = 16
"""The verdict on a frame comes at the latest when this many frames after it have been pushed."""

# Pictures are compared at this length of their longer side, in px, and never narrower than the other.
_LONG_PX, _SHORTEST_PX = 128, 32
# Below it, differences of grey levels are taken for noise.
_NOISE = 3.0
# How much a difference of local mean colours counts beside one of structure. Low, as light changes within a shot.
_COLOUR_WEIGHT = 0.25
# By how many grey levels a fade may change a picture as a whole from one frame to the next.
_FADE_STEP = 24.0
# A pair of neighbours is broken below this share of the likeness that is usual in the shot, taken over so many frames.
_BROKEN, _USUAL = 0.4, 8
# Two frames a few frames apart are of one scene from this likeness on; the second where what lies between them is
# broken off on either side, as two cuts seldom follow so close on each other.
_SAME_SCENE, _SAME_AROUND = 0.5, 0.3
# Below this share of the recent frames' median contrast, a frame is too faint to tell whether the scene is back.
_FAINT = 0.3
# How many frames a flash or a thing before the lens may last.
_PASSING = 8
# A transition is looked for between the frames so many before and after its middle.
_REACH = 8
# A dissolve's contrast midway, of its ends' mean, and its distance from the straight line, of the line's length.
_DIP, _BEND = 0.7, 0.5
# A fade's contrast midway, of the lower of its ends.
_FADE = 0.12
# Contrast (variance of grey levels) that the richest part of a picture has if there is anything in it to see.
_BLANK = 4.0
# From how many blank frames on they are a shot of their own, not the middle of a fade.
_LONG_BLANK = 12


class ShotDetector:
    """Says of each frame of a video, passed in order, whether a new shot starts at it.

    A verdict is True for the first frame of a new shot. The first frame of the video has none before it and is
    False. A dissolve or a fade counts as one start, in its middle. Flashes, fast motion, pans and things that pass
    before the lens for up to 8 frames are no boundaries. Black (or any one colour) for 12 frames or more may be a
    shot of its own. A frame of another size than the last one always starts a shot.

    causal: every `push` returns the verdict on its own frame, from the past alone. Then only hard cuts are found, and
        the first frame of a flash is taken for one.

    Memory: thumbnails of the last LOOKAHEAD + 1 frames, about 120 KiB each; never whole pictures.
    """

    def __init__(self, *, causal: bool = False) -> None:
        self._causal = causal
        self._size: tuple[int, ...] | None = None
        self._run = _Run(first=False)

    def push(self, image: NDArray[np.uint8]) -> list[bool]:
        """The verdicts that have become certain with this frame, (H, W, 3) uint8 RGB: one per frame, in order."""
        certain: list[bool] = []
        if image.shape != self._size:
            certain = self._run.finish()
            self._run = _Run(first=self._size is not None)
            self._size = image.shape
        small = _small(image)
        return certain + (self._run.push_causal(small) if self._causal else self._run.push(small))

    def finish(self) -> list[bool]:
        """The verdicts still due, after the last frame."""
        return self._run.finish()


class _Run:
    """Frames of one size, one after the other. `first` is the verdict on the first of them; ordinals count from 0."""

    def __init__(self, *, first: bool) -> None:
        self._first = first
        self._pushed = self._told = 0
        self._recent: deque[_Small] = deque(maxlen=2 * _REACH + 1)
        # By how many px of the thumbnail the view moves from each recent frame to the next, (x, y).
        self._shifts: deque[NDArray[np.float32]] = deque(maxlen=2 * _REACH)
        self._usual: deque[float] = deque([1.0], maxlen=_USUAL)
        # A break lies between a frame, whose ordinal is kept, and the one before it; `_passed`: the scene came back.
        self._broken: set[int] = set()
        self._passed: set[int] = set()
        self._blank: set[int] = set()
        # The score of each frame that may be the middle of a dissolve or fade: the less, the better.
        self._middles: dict[int, float] = {}
        self._starts: set[int] = set()
        self._after_break = 0
        self._last_middle = -LOOKAHEAD
        self._long_blank = False

    def push(self, small: _Small) -> list[bool]:
        self._take(small)
        last = self._pushed - 1
        self._look_back(last)
        middle = last - _REACH
        if middle >= _REACH:
            self._look_for_middle(middle)
        return self._tell(last - LOOKAHEAD)

    def push_causal(self, small: _Small) -> list[bool]:
        self._take(small)
        last = self._pushed - 1
        start = last in self._broken and not any(
            _likeness(earlier, small) >= _SAME_SCENE for earlier in list(self._recent)[-2 - _PASSING : -2]
        )
        self._broken.clear()
        self._blank.clear()
        self._told = self._pushed
        return [start or (last == 0 and self._first)]

    def finish(self) -> list[bool]:
        return self._tell(self._pushed - 1)

    def _take(self, small: _Small) -> None:
        ordinal = self._pushed
        if ordinal > 0:
            offsets = _offsets(self._recent[-1], small)
            self._shifts.append(np.median(offsets, axis=(0, 1)))
            likeness = _likeness_along(self._recent[-1], small, offsets)
            if likeness < _BROKEN * median(self._usual):
                self._broken.add(ordinal)
            else:
                self._usual.append(likeness)
        if small.is_blank:
            self._blank.add(ordinal)
        self._recent.append(small)
        self._pushed += 1

    def _at(self, ordinal: int) -> _Small:
        return self._recent[ordinal - self._pushed]

    def _look_back(self, last: int) -> None:
        """Take back the breaks from which the scene has come back with the frame `last`."""
        contrast = [float(small.contrast.sum()) for small in self._recent]
        if contrast[-1] < _FAINT * median(contrast):
            return
        recent = sorted(ordinal for ordinal in self._broken if ordinal >= last - _PASSING)
        for broken in recent:
            enough = _SAME_AROUND if broken < recent[-1] else _SAME_SCENE
            # A flash that did not break the likeness when it began lies before the break at its end.
            before = [
                self._at(broken - back) for back in (1, 2, 4) if back <= broken and broken - back < last - 1
            ]
            if any(_likeness(small, self._at(last)) >= enough for small in before):
                self._passed.update(ordinal for ordinal in recent if ordinal >= broken)
                self._broken -= self._passed
                return

    def _look_for_middle(self, middle: int) -> None:
        around = range(middle - _REACH + 1, middle + _REACH + 1)
        frames = list(self._recent)
        if not self._passed.isdisjoint(around) or frames[0].is_blank or frames[-1].is_blank:
            return
        score = _fade(frames)
        if score is None and self._broken.isdisjoint(around):
            score = _dissolve(frames)
        if score is None:
            return
        shift = np.sum(self._shifts, axis=0)
        if (
            max(_likeness(frames[0], frames[-1]), _likeness_across(frames[0], frames[-1], shift))
            < _SAME_SCENE
        ):
            self._middles[middle] = score

    def _tell(self, until: int) -> list[bool]:
        verdicts = []
        for ordinal in range(self._told, until + 1):
            if ordinal in self._middles:
                # Those that follow close on each other belong to one transition.
                if ordinal - self._last_middle > _REACH:
                    self._place_middle(ordinal)
                self._last_middle = ordinal
            if ordinal in self._broken and ordinal >= self._after_break:
                self._place_break(ordinal)
            self._place_blank(ordinal)
            verdicts.append(ordinal in self._starts if ordinal > 0 else self._first)
        self._told += len(verdicts)
        self._forget(self._told - 2 * _REACH)
        return verdicts

    def _place_middle(self, first: int) -> None:
        """Start a shot at the best of the middles from `first` on, or midway between equally good ones."""
        found = {at: score for at, score in self._middles.items() if first <= at <= first + _REACH}
        best = [at for at, score in sorted(found.items()) if score == min(found.values())]
        self._starts.add(best[len(best) // 2])

    def _place_break(self, first: int) -> None:
        """Start a shot at the break `first`, or midway of several that follow close on each other."""
        last = first
        for ordinal in range(first + 1, first + _PASSING):
            # One or two frames between breaks are no shot.
            if ordinal in self._broken and ordinal - last <= 2:
                last = ordinal
        if not any(first - _REACH <= middle <= first + _REACH for middle in self._middles):
            self._starts.add((first + last + 1) // 2)
        self._after_break = last + 1

    def _place_blank(self, ordinal: int) -> None:
        """Start a shot where a long blank starts, and where it ends."""
        near = any(abs(ordinal - at) <= _REACH for at in [*self._starts, *self._middles])
        if self._long_blank and ordinal not in self._blank:
            self._long_blank = False
            if not near:
                self._starts.add(ordinal)
                self._after_break = ordinal + _REACH
        elif all(at in self._blank for at in range(ordinal, ordinal + _LONG_BLANK)):
            if not self._long_blank and not near and ordinal > 0:
                self._starts.add(ordinal)
            self._long_blank = True

    def _forget(self, before: int) -> None:
        self._broken = {at for at in self._broken if at >= before}
        self._passed = {at for at in self._passed if at >= before}
        self._blank = {at for at in self._blank if at >= before}
        self._starts = {at for at in self._starts if at >= before}
        self._middles = {at: score for at, score in self._middles.items() if at >= before}


def _fade(frames: list[_Small]) -> float | None:
    """How little contrast is left midway, of the ends' lower one; None if too much for a fade.

    frames: 2 * _REACH + 1, as for `_dissolve`.
    """
    start, middle, end = (float(part.sum()) for part in _contrasts(frames))
    left = middle / (min(start, end) + 1e-6)
    return left if left < _FADE else None


def _dissolve(frames: list[_Small]) -> float | None:
    """The contrast midway, of the ends' mean one; None if this is no dissolve between two pictures."""
    start, middle, end = (float(part.sum()) for part in _contrasts(frames))
    dip = middle / ((start + end) / 2 + 1e-6)
    return dip if dip < _DIP and _bend(frames) < _BEND else None


def _contrasts(frames: list[_Small]) -> list[NDArray[np.float32]]:
    """The contrast at the start, midway and at the end; the median, as a flash of 3 frames may fall into the middle."""
    contrast = np.stack([small.contrast for small in frames])
    midway = np.median(contrast[_REACH - 3 : _REACH + 4], axis=0)
    return [contrast[:2].mean(0), midway, contrast[-2:].mean(0)]


def _bend(frames: list[_Small]) -> float:
    """How far the frames' colours lie from the straight line between the ends, of its length (root mean square)."""
    coarse = np.stack([small.coarse for small in frames])
    start, end = coarse[:2].mean(0), coarse[-2:].mean(0)
    share = np.clip((np.arange(len(frames)) - 1) / (len(frames) - 3), 0, 1).astype(np.float32)
    off = (coarse - (start + share[:, None, None, None] * (end - start)))[2:-2]
    return float(np.sqrt((off**2).mean() / (((end - start) ** 2).mean() + 1)))


@dataclass(frozen=True, eq=False)
class _Small:
    """What is kept of a frame.

    colour: (h, w, 3) float32 RGB, a thumbnail. relief: (h, w) uint8, its grey levels less their local mean, in units
    of their local deviation. contrast: (5, 8) float32, its variance within parts of the picture. coarse: (9, 16, 3)
    float32 RGB.
    """

    colour: NDArray[np.float32]
    relief: NDArray[np.uint8]
    contrast: NDArray[np.float32]
    coarse: NDArray[np.float32]

    @property
    def is_blank(self) -> bool:
        return bool(self.contrast.max() < _BLANK)


def _small(image: NDArray[np.uint8]) -> _Small:
    height, width = image.shape[:2]
    scale = _LONG_PX / max(height, width)
    size = max(_SHORTEST_PX, round(scale * width)), max(_SHORTEST_PX, round(scale * height))
    colour = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    levels = grey(colour).astype(np.float32)
    mean = cv2.GaussianBlur(levels, (0, 0), 6)
    variance = cv2.GaussianBlur(levels * levels, (0, 0), 6) - mean * mean
    relief = (levels - mean) / np.sqrt(np.maximum(variance, 0) + _NOISE**2)
    fine = levels - cv2.GaussianBlur(levels, (0, 0), 3)
    return _Small(
        colour=colour.astype(np.float32),
        relief=np.clip(128 + 45 * relief, 0, 255).astype(np.uint8),
        contrast=cv2.resize(fine * fine, (8, 5), interpolation=cv2.INTER_AREA),
        coarse=cv2.resize(colour, (16, 9), interpolation=cv2.INTER_AREA).astype(np.float32),
    )


def _likeness(one: _Small, other: _Small) -> float:
    """How far two frames show the same scene, at most 1: the correlation of their structure, one warped to the other.

    Pooled over the picture, so that parts with much structure count more. Unlike the flow, which the relief steers, it
    falls with a large difference in brightness.
    """
    return _likeness_along(one, other, _offsets(one, other))


def _offsets(one: _Small, other: _Small) -> NDArray[np.float32]:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: NDArray[np.float32] = search.calc(one.relief, other.relief, None)
    return found


def _likeness_along(one: _Small, other: _Small, offsets: NDArray[np.float32]) -> float:
    warped = warp(other.colour, offsets)
    a, b = (cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY) for colour in (one.colour, warped))
    mean_a, mean_b = _local(a), _local(b)
    variance_a = np.maximum(_local(a * a) - mean_a * mean_a, 0) + _NOISE**2
    variance_b = np.maximum(_local(b * b) - mean_b * mean_b, 0) + _NOISE**2
    shared = _local(a * b) - mean_a * mean_b + _NOISE**2
    colours = _local(one.colour - warped)
    colours -= np.clip(colours.mean((0, 1)), -_FADE_STEP, _FADE_STEP)
    apart = _COLOUR_WEIGHT * (colours * colours).mean(2)
    return float(shared.sum() / (np.sqrt(variance_a * variance_b) + apart).sum())


def _likeness_across(one: _Small, other: _Small, shift: NDArray[np.float32]) -> float:
    """As `_likeness`, of what both show when the view has moved by `shift`, (x, y) px; 1 if next to nothing is left."""
    height, width = one.relief.shape
    x, y = (int(pixels) for pixels in np.rint(shift))
    if width - abs(x) < _SHORTEST_PX or height - abs(y) < _SHORTEST_PX:
        return 1.0
    return _likeness(_part(one, -x, -y), _part(other, x, y))


def _part(small: _Small, x: int, y: int) -> _Small:
    """Without the first x columns and y rows, or the last -x and -y."""
    height, width = small.relief.shape
    rows, columns = (slice(max(0, off), size + min(0, off)) for off, size in ((y, height), (x, width)))
    return replace(
        small,
        colour=np.ascontiguousarray(small.colour[rows, columns]),
        relief=np.ascontiguousarray(small.relief[rows, columns]),
    )


def _local(values: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = cv2.blur(values, (9, 9))
    return mean
