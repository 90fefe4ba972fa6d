"""Model and session: weights apart from the state of one video."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from carvid import engines
from carvid.engines import ENGINES, load_engine
from carvid.errors import UsageError
from carvid.frame import Frame
from carvid.loading import load_model
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.refine.crf import FrameCrf
from carvid.result import FrameResult, ObjectResult
from carvid.session import Session
from tests.media import moving_square
from tests.tiny_clip import make_tiny_clip
from tests.tiny_sam import make_tiny_sam

QUERIES = ["the red car", "a blue star", "a white fish"]
IMAGES = moving_square(3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, logit_scale=6.0)


@pytest.fixture(scope="module")
def model(clip: Path) -> Model:
    return load_model(load_recipe(model=clip, device="cpu", theta=0.0))


def same(one: FrameResult, other: FrameResult) -> bool:
    return np.array_equal(one.label_map, other.label_map) and np.array_equal(one.scores, other.scores)


def test_sessions_of_one_model_keep_out_of_each_others_way(model: Model) -> None:
    alone = [list(model.session(queries).run(IMAGES)) for queries in (QUERIES[:1], QUERIES[1:])]
    first, second = model.session(QUERIES[:1]), model.session(QUERIES[1:])
    for i, image in enumerate(IMAGES):
        assert same(first.step(image), alone[0][i])
        assert same(second.step(image), alone[1][i])


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_queries_that_clip_reads_alike_are_no_rivals(model: Model, mode: str) -> None:
    model = model.with_settings(mode=mode, theta=0.0)
    typed = ["a caf\u00e9", "a  CAFE\u0301 ", "a dog", "A dog"]
    for image in IMAGES:
        alike, plain = (model.session(queries).step(image) for queries in (typed, [typed[0], "a dog"]))
        assert [one.query for one in alike.objects] == typed
        np.testing.assert_array_equal(alike.scores, plain.scores[[0, 0, 1, 1]])
        np.testing.assert_array_equal(alike.masks, plain.masks[[0, 0, 1, 1]])
        assert set(np.unique(alike.label_map)) <= {0, 1, 3}


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_masks_are_as_large_as_the_frame_whatever_the_crf_works_on(model: Model, mode: str) -> None:
    whole, small, same_size = (
        model.with_settings(mode=mode, crf_size=size).session(QUERIES).step(IMAGES[0])
        for size in ("full", 32, min(IMAGES[0].shape[:2]))
    )
    assert small.masks.shape == whole.masks.shape == (len(QUERIES), *IMAGES[0].shape[:2])
    assert np.mean(small.label_map == whole.label_map) > 0.9
    assert not np.array_equal(small.label_map, whole.label_map)
    assert same(same_size, whole)


def test_threads_share_a_model(model: Model) -> None:
    expected = {query: list(model.session([query]).run(IMAGES)) for query in QUERIES}
    found: dict[str, list[FrameResult]] = {}

    def label(query: str) -> None:
        with model.session([query]) as session:
            found[query] = list(session.run(IMAGES))

    threads = [threading.Thread(target=label, args=(query,)) for query in QUERIES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for query in QUERIES:
        assert all(map(same, found[query], expected[query]))


def test_other_queries_may_be_asked_in_mid_stream(model: Model) -> None:
    session = model.session(QUERIES[:1])
    assert len(session.step(IMAGES[0]).objects) == 1
    session.ask(QUERIES)
    assert session.queries == tuple(QUERIES)
    assert same(session.step(IMAGES[1]), model.session(QUERIES).step(IMAGES[1]))
    with pytest.raises(UsageError, match="query 1 of 1 is empty"):
        session.ask([" "])
    assert session.queries == tuple(QUERIES)


def test_a_session_counts_its_own_frames_for_sam(clip: Path, tmp_path: Path) -> None:
    sam = make_tiny_sam(tmp_path / "sam")
    recipe = load_recipe(model=clip, device="cpu", theta=0.0, sam=sam, sam_every=2)
    model = load_model(recipe)
    for _ in range(2):
        session = model.session(QUERIES[:1])
        records = [result.evidence.sam for result in session.run(IMAGES)]
        assert [record is not None for record in records] == [True, False, True]
    assert model.describe()["sam"]["options"]["every"] == 2


def test_no_crf_is_run_for_a_mask_that_is_thrown_away(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refined: list[int] = []
    refine = FrameCrf.refine_binary

    def counted(self: FrameCrf, proposals):
        refined.append(len(proposals))
        return refine(self, proposals)

    monkeypatch.setattr(FrameCrf, "refine_binary", counted)
    for keep_best, expected in ((False, []), (True, [1])):
        refined.clear()
        recipe = load_recipe(model=clip, device="cpu", theta=1.0, keep_best=keep_best)
        result = load_model(recipe).session(QUERIES).step(IMAGES[0])
        assert refined == expected
        assert result.masks.any() == keep_best
        assert not result.present.any()


def test_an_engine_is_chosen_by_name(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(model=clip, device="cpu")
    model = load_engine(recipe)
    assert isinstance(model, Model)
    assert isinstance(model.session(QUERIES), Session)
    with pytest.raises(UsageError, match="engine is 'sam9'; expected one of car"):
        load_engine(load_recipe(engine="sam9"))
    # What runs CLIP as RNN alone says so, instead of running it in another engine's name.
    with pytest.raises(UsageError, match="engine is 'halves'; expected car"):
        load_model(load_recipe(engine="halves"))
    monkeypatch.setitem(ENGINES, "halves", "tests.test_session:Halves")
    halves = load_engine(load_recipe(engine="halves")).session(["left", "right"])
    (result,) = engines.run_session(halves, [Frame(0, None, np.zeros((2, 4, 3), np.uint8), "a")])
    assert result.label_map.tolist() == [[1, 1, 2, 2]] * 2
    assert result.evidence is None


class Halves:
    """A whole engine: the first query is the left half, the second the right."""

    batch, seconds, totals = 1, {}, {}

    def __init__(self, recipe, queries=()):
        self.recipe, self.queries = recipe, tuple(queries)

    def session(self, queries):
        return Halves(self.recipe, queries)

    def describe(self):
        return {"models": {}, "device": "cpu", "dtype": "uint8", **self.recipe.describe()}

    def steps(self, frames):
        for frame in frames:
            labels = np.ones(frame.image.shape[:2], np.uint8)
            labels[:, labels.shape[1] // 2 :] = 2
            objects = tuple(ObjectResult(i, q, labels == i, 1.0, True) for i, q in enumerate(self.queries, 1))
            yield FrameResult(frame.index, frame.pts_seconds, frame.name, labels, objects)

    def finish(self):
        return iter(())

    def settle(self):
        return iter(())

    def close(self):
        pass


def test_a_session_that_is_closed_has_counted_nothing_more(clip: Path, tmp_path: Path) -> None:
    sam = make_tiny_sam(tmp_path / "sam")
    model = load_model(load_recipe(model=clip, device="cpu", theta=0.0, sam=sam))
    with model.session(QUERIES[:1]) as session:
        session.step(IMAGES[0])
        assert set(session.totals) == {"sam"}
    assert session.totals == {}
