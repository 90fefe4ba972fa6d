"""The engine on key frames alone; between them, its masks are carried by optical flow. Never over a cut.

Every shot begins with a key frame and ends with one, so that each frame between has a key on both sides. With `causal`
masks come from the past alone, and each result is given as soon as its frame is taken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from carvid.engines import EngineSession, Judge
from carvid.evidence import FrameOrigin
from carvid.frame import Frame
from carvid.motion.camera import camera_step, inverse
from carvid.motion.edges import refine
from carvid.motion.flow import Flow, flows, grey
from carvid.motion.propagate import Carried, at_key, carry, fuse
from carvid.motion.shots import ShotDetector
from carvid.motion.tracks import MOST, Tracker
from carvid.result import FrameResult, ObjectResult
from carvid.stopwatch import Stopwatch

MOST_BETWEEN = 10
"""With `auto`, the next key comes at the latest this many frames after one."""

MOST_TO_CHOOSE = 65535
"""How many tracks a video may have where a chooser takes them."""

# With `auto`, the next key comes where a mask's confidence falls below this.
_SURE = 0.3


class MotionOptions(Protocol):
    """How an engine runs on key frames; `carvid.recipe.Recipe` has these fields.

    keyframes: the next key comes at the latest this many frames after one; None for `MOST_BETWEEN`, and sooner where a
        mask's confidence falls.
    causal: carry masks from the past alone, and hold no frame back.
    instances: give tracks in place of one object per query; see `carvid.motion.tracks`.
    flow_size: search the flow on pictures whose shorter side is at most this many px; `full` for whole ones.
    """

    @property
    def keyframes(self) -> int | None: ...
    @property
    def causal(self) -> bool: ...
    @property
    def instances(self) -> bool: ...
    @property
    def flow_size(self) -> int | Literal["full"]: ...


class TrackChooser(Protocol):
    """Gives results for other queries than the engine's, by its tracks; see `carvid.words.chooser.Chooser`."""

    @property
    def queries(self) -> tuple[str, ...]: ...
    def push(
        self,
        image: NDArray[np.uint8],
        whole: FrameResult,
        tracked: FrameResult,
        camera: NDArray[np.float64] | None,
    ) -> Iterator[FrameResult]: ...
    def finish(self) -> Iterator[FrameResult]: ...
    def describe(self) -> Mapping[str, Any]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class _Key:
    """A key frame: where its masks are carried from."""

    result: FrameResult
    masks: Carried

    @staticmethod
    def of(result: FrameResult) -> _Key:
        # The evidence of an engine may hold much on the device.
        return _Key(replace(result, evidence=None), at_key(result.masks.astype(np.float32)))


class _Step:
    """A frame after a key, and the way to it from the frame before.

    grey: its picture, (H, W) uint8. past: what the key's masks have become here.
    """

    def __init__(
        self,
        frame: Frame,
        before: NDArray[np.uint8],
        masks_before: Carried,
        flow_size: int | None,
        watch: Stopwatch,
    ) -> None:
        """before: the picture of the frame before, of the same size, grey. masks_before: the key's masks there."""
        self.frame, self.grey = frame, grey(frame.image)
        self._before, self._flow_size, self._watch = before, flow_size, watch
        self.past = self._carried(masks_before, 1)

    @cached_property
    def _flows(self) -> tuple[Flow, Flow]:
        # Only where a mask has to be carried: most of a step's time goes here.
        with self._watch.stage("motion/flow"):
            return flows(self._before, self.grey, self._flow_size)

    def to_before(self, here: Carried) -> Carried:
        """Masks of this frame, carried to the one before."""
        return self._carried(here, 0)

    def _carried(self, masks: Carried, which: int) -> Carried:
        if not masks.trust.any():
            return replace(masks, confidence=np.zeros_like(masks.confidence))
        flow = self._flows[which]
        with self._watch.stage("motion/carry"):
            return carry(masks, flow)

    @property
    def back(self) -> Flow:
        """The flow from this frame to the one before."""
        return self._flows[1]


class KeyframeSession:
    """A session of any engine, run on key frames alone. Takes frames in order; for one video and one thread.

    session: the engine's; this closes it. options: see `MotionOptions`. chooser: makes the results of the tracks; None
    for the engine's own queries.

    Memory: the frames since the last key, with the masks carried to them, those whose shot is not yet certain
    (`carvid.motion.shots.LOOKAHEAD`), and what the chooser holds back.
    """

    def __init__(
        self, session: EngineSession, options: MotionOptions, chooser: TrackChooser | None = None
    ) -> None:
        self.session, self._chooser = session, chooser
        self._adaptive = options.keyframes is None
        self._every = MOST_BETWEEN if options.keyframes is None else options.keyframes
        self._causal = options.causal
        self._flow_size = None if options.flow_size == "full" else options.flow_size
        self._stopwatch = Stopwatch()
        self._detector = ShotDetector(causal=options.causal)
        self._tracker: Tracker | None = None
        if chooser is not None:
            # These tracks need no labels of 8 bits: the chooser gives out its own.
            self._tracker = Tracker(MOST_TO_CHOOSE)
        elif options.instances:
            self._tracker = Tracker(MOST)
        self._uncertain: deque[Frame] = deque()
        self._key: _Key | None = None
        self._between: list[_Step] = []
        self._grey: NDArray[np.uint8] | None = None
        self._counts = {"frames": 0, "keys": 0, "shots": 0}

    @property
    def queries(self) -> tuple[str, ...]:
        return self.session.queries if self._chooser is None else self._chooser.queries

    @property
    def batch(self) -> int:
        """Frames are taken one by one: each may be the next key."""
        return 1

    @property
    def seconds(self) -> Mapping[str, float]:
        """Those of the engine's session, and motion/shots, motion/flow, motion/carry, motion/refine and
        motion/tracks."""
        return {**self.session.seconds, **self._stopwatch.seconds}

    @property
    def totals(self) -> Mapping[str, Any]:
        """Those of the engine's session, and how many frames, keys and shots there were."""
        return {**self.session.totals, "motion": dict(self._counts)}

    def describe(self) -> Mapping[str, Any]:
        own = {} if self._chooser is None else self._chooser.describe()
        return {**self.session.describe(), **own}

    def judge(self, text: str, rivals: Sequence[str]) -> Judge:
        return self.session.judge(text, rivals)

    def close(self) -> None:
        self.session.close()
        if self._chooser is not None:
            self._chooser.close()
        self._uncertain.clear()
        self._between, self._key, self._grey = [], None, None

    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        """Take the next frames; give the results that are ready, in order."""
        for frame in frames:
            self._uncertain.append(frame)
            with self._stopwatch.stage("motion/shots"):
                verdicts = self._detector.push(frame.image)
            yield from self._take(verdicts)

    def finish(self) -> Iterator[FrameResult]:
        """The results still due, after the last frame."""
        yield from self._take(self._detector.finish())
        yield from self._meet()
        if self._chooser is not None:
            yield from self._chooser.finish()

    def settle(self) -> Iterator[FrameResult]:
        """What waits for the chooser alone."""
        return iter(()) if self._chooser is None else self._chooser.finish()

    def _take(self, verdicts: Sequence[bool]) -> Iterator[FrameResult]:
        for starts_shot in verdicts:
            frame = self._uncertain.popleft()
            self._counts["frames"] += 1
            if starts_shot or self._key is None:
                yield from self._meet()
                self._counts["shots"] += 1
                self._grey = grey(frame.image)
                yield from self._told(self._run(frame), frame, None)
            else:
                yield from self._follow(frame, self._key)

    def _follow(self, frame: Frame, key: _Key) -> Iterator[FrameResult]:
        """Take a frame of the same shot as the last key."""
        assert self._grey is not None
        before = self._between[-1].past if self._between else key.masks
        step = _Step(frame, self._grey, before, self._flow_size, self._stopwatch)
        self._grey = step.grey
        self._between.append(step)
        is_due = len(self._between) == self._every or (self._adaptive and is_unsure(step.past))
        if not self._causal:
            if is_due:
                yield from self._meet()
        elif is_due:
            yield from self._told(self._run(frame), frame, step)
        else:
            yield from self._told(self._carried(frame, step.past, (key,)), frame, step)

    def _run(self, frame: Frame) -> FrameResult:
        """Run the engine on a frame, which is now the last key."""
        (result,) = self.session.steps([frame])
        result = replace(result, origin=FrameOrigin(True, 1.0, (frame.index,)))
        self._counts["keys"] += 1
        self._key, self._between = _Key.of(result), []
        return result

    def _meet(self) -> Iterator[FrameResult]:
        """Make the last frame a key, and carry the masks of both keys to the frames between them."""
        if not self._between or self._causal:
            return
        past_key, between = self._key, self._between
        assert past_key is not None
        result = self._run(between[-1].frame)
        key = self._key
        assert key is not None
        future, found = key.masks, [result]
        for i in range(len(between) - 1, 0, -1):
            step, future = between[i - 1], between[i].to_before(future)
            with self._stopwatch.stage("motion/carry"):
                both = fuse(step.past, future, i / len(between))
            found.append(self._carried(step.frame, both, (past_key, key)))
        for step in between:
            yield from self._told(found.pop(), step.frame, step)

    def _told(self, result: FrameResult, frame: Frame, step: _Step | None) -> Iterator[FrameResult]:
        """What is given for a frame's result, in the order of the frames. step: None at the first frame of a shot."""
        if self._tracker is None:
            yield result
            return
        back = None if step is None else step.back
        with self._stopwatch.stage("motion/tracks"):
            evidence, segments = result.evidence, None
            if evidence is not None and evidence.read_segments is not None:
                # Segments are large, and nobody needs them after this.
                segments = evidence.read_segments
                result = replace(result, evidence=replace(evidence, read_segments=None))
            tracked = self._tracker.step(frame.image, result, back, segments)
        if self._chooser is None:
            yield tracked
            return
        with self._stopwatch.stage("motion/tracks"):
            things = np.asarray(result.masks.any(0))
            camera = None if back is None else inverse(camera_step(back, things))
        yield from self._chooser.push(frame.image, result, tracked, camera)

    def _carried(self, frame: Frame, carried: Carried, keys: tuple[_Key, ...]) -> FrameResult:
        with self._stopwatch.stage("motion/refine"):
            responses = refine(frame.image, carried.masks, carried.confidence)
        return carried_result(frame, responses, carried.trust, [key.result for key in keys])


def is_unsure(carried: Carried) -> bool:
    """Whether some mask's confidence has fallen so far that the next key is due."""
    return bool((carried.trust[carried.trust > 0] < _SURE).any())


def carried_result(
    frame: Frame, responses: NDArray[np.float32], trust: NDArray[np.float32], keys: Sequence[FrameResult]
) -> FrameResult:
    """The result of a frame whose masks come from key frames.

    responses: (N, H, W) float32 in [0, 1], cut at 1/2. trust: (N,) float32 in [0, 1], each mask's confidence.
    keys: the results of the one or two key frames, each with the same N objects.
    An object's score is the mean of those at its keys, the nearer one counting more; where its mask is left, only keys
    that have one count. It is present if one of these says so. The frame's confidence is that of its least sure mask.
    """
    masks = responses > 0.5
    left = np.array([mask.any() for mask in masks], np.bool_)
    objects = []
    for i, mask in enumerate(masks):
        told = [key for key in keys if key.objects[i].mask.any() or not left[i]]
        far = [abs(key.index - frame.index) for key in told]
        # Of two keys, each counts by its distance to the other one's side.
        weights = [1.0] if len(told) == 1 else [far[1] / sum(far), far[0] / sum(far)]
        first = told[0].objects[i]
        objects.append(
            ObjectResult(
                id=first.id,
                query=first.query,
                mask=mask,
                score=sum(weight * key.objects[i].score for weight, key in zip(weights, told, strict=True)),
                present=bool(left[i]) and any(key.objects[i].present for key in told),
            )
        )
    ids = np.array([0, *(one.id for one in objects)], np.uint8)
    strongest = np.where(masks, responses, 0).argmax(0) + 1
    return FrameResult(
        index=frame.index,
        pts_seconds=frame.pts_seconds,
        name=frame.name,
        label_map=ids[np.where(masks.any(0), strongest, 0)],
        objects=tuple(objects),
        origin=FrameOrigin(False, float(trust[left].min(initial=1.0)), tuple(key.index for key in keys)),
    )


def on_key_frames(session: EngineSession, options: MotionOptions) -> EngineSession:
    """The session on key frames alone; as it is where that changes nothing."""
    if options.keyframes == 1 and not options.instances:
        return session
    return KeyframeSession(session, options)
