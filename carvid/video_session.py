"""Opens what segments a video: an engine's session, on key frames, asked what its queries' words leave to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from carvid.engines import EngineSession
from carvid.motion.keyframes import KeyframeSession, MotionOptions, on_key_frames
from carvid.words.chooser import Chooser
from carvid.words.queries import Expressions


class VideoOptions(MotionOptions, Protocol):
    """`carvid.recipe.Recipe` has these fields. words: read the queries for words that the engine cannot read."""

    @property
    def words(self) -> bool: ...


def open_session(
    open_engine: Callable[[Sequence[str]], EngineSession],
    queries: Sequence[str],
    options: VideoOptions,
    *,
    tell: Callable[[str], None] | None = None,
) -> EngineSession:
    """A session for one video, run as the options say. Without words for `carvid.words` it is the same as without them.

    open_engine: opens the engine's session for some queries, such as `EngineModel.session`.
    tell: is told of each choice among things, and why.
    Raises UsageError for queries that cannot be used.
    """
    expressions = Expressions.of(queries)
    if not options.words or not expressions.speak:
        return on_key_frames(open_engine(queries), options)
    session = open_engine(expressions.asked)
    try:
        chooser = Chooser(
            expressions, session.judge, causal=options.causal, instances=options.instances, tell=tell
        )
    except BaseException:
        session.close()
        raise
    return KeyframeSession(session, options, chooser)
