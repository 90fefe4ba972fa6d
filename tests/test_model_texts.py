"""What sessions of one model share: texts that are embedded once, and what f's features remember of them."""

from __future__ import annotations

import numpy as np
import pytest

from carvid.loading import load_model
from carvid.model import Model, TextMemory
from carvid.recipe import load_recipe
from carvid.session import Session
from carvid.shapes.scenes import moving_clip

QUERIES = ("red circle", "purple triangle")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(load_recipe(model="shapes", speed="exact", cam="clip-es"))


def test_the_last_things_made_are_remembered_and_the_oldest_forgotten() -> None:
    memory, made = TextMemory(), []

    def make(i: int) -> str:
        return memory.recall(i, lambda: made.append(i) or str(i))

    assert [make(i) for i in (1, 2, 1)] == ["1", "2", "1"]
    assert made == [1, 2]
    for i in range(3, 300):
        make(i)
    make(1)
    assert made.count(1) == 2
    assert made.count(299) == 1


def test_texts_are_embedded_anew_where_a_setting_words_them_otherwise(model: Model) -> None:
    (f,), g = model.texts(QUERIES)
    assert model.texts(QUERIES)[0][0] is f
    assert model.with_settings(eta=0.2).texts(QUERIES) == ((f,), g)
    worded = model.with_settings(proposer_template="a {}", templates=("a {}",), background=("sky",))
    (other_f,), other_g = worded.texts(QUERIES)
    assert len(other_f.background) == 1
    assert not np.allclose(other_f.queries, f.queries)
    assert not np.allclose(other_g.queries, g.queries)


@pytest.mark.parametrize(
    "changes", [{}, {"cam": "gradcam"}, {"crf": False}, {"background": ()}, {"eta": 0.3}]
)
def test_a_session_on_shared_features_gives_what_it_gives_alone(model: Model, changes: dict) -> None:
    (scene,) = moving_clip(102, 1, 96, 128)
    seen = Session(model, QUERIES).see(scene.image)
    changed = model.with_settings(**changes)
    Session(model, QUERIES).segment(seen)
    shared = Session(changed, QUERIES).segment(seen)
    fresh = load_model(load_recipe(model="shapes", speed="exact", **{"cam": "clip-es", **changes}))
    alone = Session(fresh, QUERIES).step(scene.image)
    assert np.array_equal(shared.label_map, alone.label_map)
    assert shared.scores == pytest.approx(alone.scores)
    assert len(seen.features.weights) == (2 if "background" in changes else 1)
