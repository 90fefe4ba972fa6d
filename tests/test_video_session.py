"""What a video runs through: the engine's session, key frames, and words that choose among the tracks."""

from __future__ import annotations

import numpy as np
import pytest

from carvid.engines import run_session
from carvid.errors import UsageError
from carvid.motion.keyframes import KeyframeSession
from carvid.recipe import Recipe
from carvid.video_session import open_session
from tests.motion_cases import KnownMasks, as_frames, textured


def moving_squares(frames=9):
    """Two textured squares on a textured ground, one of which moves to the right; pictures and masks (1, H, W)."""
    ground, squares = textured(1), textured(2)
    pictures, masks = [], []
    for t in range(frames):
        picture, mask = ground.copy(), np.zeros((1, *ground.shape[:2]), np.bool_)
        for x, y in ((10 + 3 * t, 10), (20, 60)):
            picture[y : y + 20, x : x + 20] = squares[:20, :20]
            mask[0, y : y + 20, x : x + 20] = True
        pictures.append(picture)
        masks.append(mask)
    return pictures, masks


@pytest.mark.parametrize("options", [{"keyframes": 1}, {"keyframes": 4}, {"keyframes": 4, "causal": True}])
def test_a_session_on_key_frames_follows_what_moves(options: dict) -> None:
    pictures, masks = moving_squares()
    asked = []

    def open_engine(queries):
        asked.append(tuple(queries))
        return KnownMasks(dict(enumerate(masks)), queries)

    session = open_session(open_engine, ["the square moving to the right"], Recipe(**options))
    assert session.queries == ("the square moving to the right",)
    assert asked == [("the square",)]
    found = list(run_session(session, as_frames(pictures)))
    assert [one.index for one in found] == list(range(9))
    last = found[-1].masks[0]
    assert last[15, 40]
    assert not last[65, 25]
    assert session.describe()["expressions"][0]["head"] == "the square"


def test_without_clues_or_without_words_the_session_is_the_one_without() -> None:
    masks = moving_squares()[1]

    def open_engine(queries):
        return KnownMasks(dict(enumerate(masks)), queries)

    plain = open_session(open_engine, ["the square"], Recipe(keyframes=4))
    assert isinstance(plain, KeyframeSession)
    assert plain._chooser is None
    off = open_session(open_engine, ["the square on the left"], Recipe(keyframes=1, words=False))
    assert isinstance(off, KnownMasks)
    assert off.queries == ("the square on the left",)


def test_a_query_that_cannot_be_judged_closes_the_engine() -> None:
    masks = moving_squares(1)[1]
    opened = []

    class Refuses(KnownMasks):
        def judge(self, text, rivals):
            raise UsageError("too long")

    def open_engine(queries):
        opened.append(Refuses(dict(enumerate(masks)), queries))
        return opened[-1]

    with pytest.raises(UsageError, match="too long"):
        open_session(open_engine, ["the square on the left"], Recipe())
    assert opened[0].is_closed
