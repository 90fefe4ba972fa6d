"""Several query sets of the same frames: f looks at each frame once for all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carvid.engines import EngineModel, EngineSession
from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.model import Model
from carvid.recipe.variant import SWITCHES
from carvid.result import FrameResult
from carvid.session import SeenFrames, Session


class SharedFeatures:
    """f's features of the last frames looked at, for the sessions of one model; the CRF's lattice is among them."""

    # With key frames, a cut makes two frames due at once: the last of a shot and the first of the next.
    _KEPT = 2

    def __init__(self, model: Model) -> None:
        self.model = model
        self._seen: deque[tuple[tuple[Frame, ...], SeenFrames]] = deque(maxlen=self._KEPT)

    def of(self, frames: tuple[Frame, ...]) -> SeenFrames:
        """The features of frames of one size, which go through f together."""
        for known, seen in self._seen:
            if len(known) == len(frames) and all(a is b for a, b in zip(known, frames, strict=True)):
                return seen
        # Freed before the next are computed.
        if len(frames) > 1:
            self._seen.clear()
        seen = self.model.see(frames)
        self._seen.append((frames, seen))
        return seen


class SharingSession(Session):
    """A session that takes f's features from what all query sets share."""

    def __init__(self, model: Model, features: SharedFeatures, queries: Sequence[str]) -> None:
        """features: of a model that differs from this one in nothing that changes what f computes without a query."""
        super().__init__(model, queries)
        self._features = features

    def steps(self, frames: Sequence[Frame]) -> Iterator[FrameResult]:
        at_once = self.recipe.batch or 1
        for start in range(0, len(frames), at_once):
            yield from self.segment_each(self._features.of(tuple(frames[start : start + at_once])))


class Sessions:
    """Opens sessions on one model that share what they can: with CLIP as RNN all that no query changes."""

    def __init__(self, model: EngineModel) -> None:
        self._model = model
        # By the switches that change what is computed of a frame.
        self._features: dict[tuple[str, ...], SharedFeatures] = {}

    def open(self, queries: Sequence[str], settings: Mapping[str, Any]) -> EngineSession:
        """Raises UsageError for queries that cannot be used, and for settings that another engine does not have."""
        if isinstance(self._model, Model):
            model = self._model.with_settings(**settings) if settings else self._model
            switches = tuple(name for name in model.recipe.switches if SWITCHES[name].of_frame)
            if switches not in self._features:
                self._features[switches] = SharedFeatures(self._model.with_settings(switches=switches))
            return SharingSession(model, self._features[switches], queries)
        if settings:
            names = ", ".join(settings)
            raise UsageError(f"this needs the engine car, whose settings {names} differ from query to query")
        return self._model.session(queries)
