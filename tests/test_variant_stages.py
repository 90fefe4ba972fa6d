"""The switches of f, g, the recurrence, the CRF and the masks, each on numbers small enough to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from carvid.car.affinity import box_mask
from carvid.car.classifier import character_texts, class_probabilities
from carvid.car.recurrence import Answer, Asked, Recurrence, recur_together
from carvid.errors import UsageError
from carvid.evaluate.sharing import Sessions
from carvid.loading import load_model
from carvid.model import Model
from carvid.recipe import load_recipe
from carvid.recipe.settings import BACKGROUND_TEXTS
from carvid.refine.crf import wrapped_picture
from carvid.session import Session
from carvid.shapes.scenes import moving_clip
from tests.tiny_clip import make_tiny_clip

QUERIES = ["the red car", "a blue star", "a white fish"]
IMAGE = next(iter(moving_clip(31, 1, 90, 120))).image


# f


def test_background_texts_repeat_queries() -> None:
    told = load_recipe(switches=["background-repeats-queries"])
    assert told.background_texts(["sky", "a dog"]) == BACKGROUND_TEXTS
    assert "sky" not in load_recipe().background_texts(["sky", "a dog"])


def test_the_first_step_reads_the_plain_query() -> None:
    assert load_recipe("voc").proposer_wordings == ("a clean origami {}.",)
    for preset in ("voc", "refcoco"):
        wordings = load_recipe(preset, switches=["origami-later"]).proposer_wordings
        assert wordings == ("{}", "a clean origami {}.")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, logit_scale=6.0)


def model_with(clip: Path, *switches: str, **settings: object) -> Model:
    return load_model(load_recipe(model=clip, device="cpu", switches=switches, speed="exact", **settings))


def propose(model: Model, live: Sequence[int], step: int, queries: Sequence[str] = QUERIES) -> Tensor:
    session = model.session(queries)
    with torch.inference_mode():
        seen = session.see(IMAGE)
        (one,) = session._rnn.proposer.on(seen.features, IMAGE.shape[:2])
        return one.propose(live, step)


@pytest.mark.parametrize("mode", ["refer", "semantic"])
def test_later_steps_propose_by_the_other_wording(clip: Path, mode: str) -> None:
    both = model_with(clip, "origami-later", mode=mode)
    plain = model_with(clip, mode=mode, proposer_template="{}")
    origami = model_with(clip, mode=mode, proposer_template="a clean origami {}.")
    for step, like in ((1, plain), (2, origami), (3, origami)):
        for live in ((0, 1, 2), (0, 2)):
            assert torch.equal(propose(both, live, step), propose(like, live, step))
    assert not torch.equal(propose(both, (0, 1, 2), 1), propose(both, (0, 1, 2), 2))


def test_positions_are_rounded_to_float16_once_interpolated(clip: Path) -> None:
    model, rounding = model_with(clip), model_with(clip, "float16-positions")
    rows = model.proposer.tower._positions(5, 3)
    assert torch.equal(rounding.proposer.tower._positions(5, 3), rows.half().float())
    assert not torch.equal(rows.half().float(), rows)
    tower = rounding.classifier.tower
    blank = torch.zeros(1, 3, 32, 32)
    cls = tower.class_embedding + tower.class_position.half().float()
    assert torch.equal(tower.tokens(blank)[0, 0], tower.pre_norm(cls))
    # A model made from a rounding one without the switch rounds no more.
    assert not rounding.with_settings(switches=()).classifier.tower.float16_positions


def test_sessions_share_only_what_no_switch_changes(clip: Path) -> None:
    model = model_with(clip)
    sessions = Sessions(model)
    for changes in ({}, {"switches": ("float16-positions",)}, {"switches": ("boxes-border",)}):
        shared = sessions.open(QUERIES, changes).steps([model.session(QUERIES).see(IMAGE).each[0].frame])
        alone = Session(model.with_settings(**changes), QUERIES).step(IMAGE)
        (one,) = shared
        np.testing.assert_allclose(one.scores, alone.scores, atol=1e-6)
        assert np.array_equal(one.label_map, alone.label_map)
    assert len(sessions._features) == 2


def test_one_text_left_to_differentiate_has_no_cam(clip: Path) -> None:
    told = {"background": (), "mode": "refer"}
    assert propose(model_with(clip, **told), (0,), 1, QUERIES[:1]).amax() > 0
    assert propose(model_with(clip, "zero-cam-stays", **told), (0,), 1, QUERIES[:1]).amax() == 0


def test_boxes_of_8_bits_and_without_the_border() -> None:
    # 0.5 of 254 is 127: 127.4 is above it, and 127 once cut down to a whole number is not.
    cam = torch.tensor([[254.0, 0, 127.4, 0], [0, 0, 0, 0], [0, 0, 0, 200]]) / 255

    def boxes(lam: float, *switches: str) -> list[list[int]]:
        return box_mask(cam[None], lam, switches)[0].int().tolist()

    assert boxes(0.5) == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert boxes(0.5, "boxes-8-bits") == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert boxes(0.5, "boxes-border") == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    # Where lambda leaves nothing it is lowered; an empty CAM has no box.
    assert boxes(1.0, "boxes-8-bits")[0] == [1, 0, 0, 0]
    assert not box_mask(torch.zeros(1, 2, 3), 0.5, ["boxes-8-bits"]).any()


def test_a_box_that_ends_at_the_border_loses_its_end_there() -> None:
    cam = torch.tensor([[[0.0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]])
    assert box_mask(cam, 0.5, ["boxes-border"])[0].int().tolist() == [
        [0, 0, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


# g


def test_without_templates_g_reads_origami_and_later_single_characters() -> None:
    plain = load_recipe("refcoco", switches=["origami-classifier"])
    assert plain.classifier_wordings == ("a clean origami {}.",)
    assert not plain.reads_characters
    assert load_recipe("refcoco", switches=["character-texts"]).reads_characters
    voc = load_recipe("voc", variant="released")
    assert (len(voc.classifier_wordings), voc.reads_characters) == (15, False)


def test_the_characters_are_those_at_the_queries_places() -> None:
    assert character_texts(["a clean", "an owl", "two"]) == ["a c", "an ", "two"]
    with pytest.raises(UsageError, match="3 queries, but 'ab' has 2 characters, one for each query at most"):
        character_texts(["abc", "ab", "abcd"])


def test_later_texts_are_one_row_per_query_summed_as_templates_are(clip: Path) -> None:
    model = model_with(clip, "origami-classifier", "character-texts", negatives=("sky",))
    _, texts = model.texts(QUERIES)
    assert texts.at(1) is texts
    later = texts.at(2)
    assert later is texts.at(3)
    embed = model.classifier.texts.embed
    assert torch.equal(texts.queries[0], embed([f"a clean origami {query}." for query in QUERIES]))
    # "a clean origami ..." three times: a, the empty text, c.
    row = embed(["a", "", "c"], blank=True)
    assert torch.equal(later.queries, row.expand(3, -1, -1))
    z = torch.nn.functional.normalize(torch.randn(2, 24, generator=torch.Generator().manual_seed(0)), dim=1)
    sky = embed(["a clean origami sky."])
    shares = (texts.logit_scale * z @ torch.cat([row[[0, 2]], sky]).T).softmax(1)
    assert torch.allclose(class_probabilities(z, later, [0, 2]), (3 * shares).softmax(1)[:, :2])


def test_a_blank_text_is_refused_unless_asked_for(clip: Path) -> None:
    texts = model_with(clip).classifier.texts
    assert len(texts.embed([" ", ""], blank=True)) == 2
    with pytest.raises(UsageError, match="is empty: expected words"):
        texts.embed([" "])


def test_the_last_block_never_runs(clip: Path) -> None:
    tower = model_with(clip).classifier.tower
    planes = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    x = tower.tokens(planes)
    for block in tower.blocks[:-1]:
        x = block(x)
    expected = torch.nn.functional.normalize(tower.post_norm(x[:, 0]) @ tower.projection.T, dim=1)
    torch.testing.assert_close(tower.embed(planes, last_block=False), expected)
    assert not torch.allclose(tower.embed(planes), expected)


# The recurrence


class Numbers:
    """Proposes for query i a 1x1 mask of i + 1, or the values it is given for a step."""

    def __init__(self, steps: dict[int, list[float]] | None = None) -> None:
        self.steps = steps or {}

    def propose(self, live: Sequence[int], step: int) -> Tensor:
        values = self.steps.get(step, [query + 1.0 for query in live])
        return torch.tensor(values)[:, None, None]


def run(table: dict[tuple[int, ...], list[float]], queries: int, *switches: str, **steps: list) -> Recurrence:
    def classify(asked: dict[int, Asked]) -> list[Answer]:
        return [
            Answer(torch.tensor(table[step.live], dtype=torch.float64), step.proposals)
            for step in asked.values()
        ]

    numbers = Numbers({int(name[1:]): values for name, values in steps.items()})
    (found,) = recur_together([numbers], classify, queries, 0.3, switches)
    return found


def test_the_best_goes_on_and_a_score_has_to_be_above_theta() -> None:
    table = {(0, 1, 2): [0.1, 0.3, 0.2], (1,): [1.0]}
    found = run(table, 3, "best-goes-on")
    assert [step.live for step in found.steps] == [(0, 1, 2), (1,)]
    assert (found.kept, found.scores, found.present) == ((1,), (0.1, 1.0, 0.2), (False, True, False))
    assert [step.live for step in run(table, 3).steps] == [(0, 1, 2), (1,)]
    assert run({(0, 1): [0.1, 0.2]}, 2).present == (False, False)
    assert run({(0,): [0.3]}, 1, "best-goes-on").present == (False,)


def test_it_stops_by_the_number_kept() -> None:
    # Two are kept by the first step, which compares with 0, and by the second.
    table = {(0, 1): [0.5, 0.5]}
    assert len(run(table, 2).steps) == 1
    assert len(run(table, 2, "stop-by-count").steps) == 2
    # One is kept by the first step and by the second, although the first dropped two.
    table = {(0, 1, 2): [0.9, 0.1, 0.1], (0,): [1.0]}
    found = run(table, 3, "stop-by-count")
    assert [step.live for step in found.steps] == [(0, 1, 2), (0,)]
    assert found.proposals.flatten().tolist() == [1]


def test_zero_proposals_repeat_those_before() -> None:
    table = {(0, 1, 2): [0.5, 0.1, 0.5], (0, 2): [0.5, 0.5]}
    zero = run(table, 3, s2=[0.0, 0.0])
    assert zero.proposals.flatten().tolist() == [0, 0]
    # Of the first step's 1, 2 and 3 the first two, although the second query was dropped.
    repeated = run(table, 3, "zero-proposals-repeat", s2=[0.0, 0.0])
    assert repeated.proposals.flatten().tolist() == [1, 2]
    assert run(table, 3, "zero-proposals-repeat", s2=[0.0, 5.0]).proposals.flatten().tolist() == [0, 5]


# The CRF and the masks


def test_the_crf_sees_a_picture_that_wraps() -> None:
    # Blue first: 104 - 104.008 is cut to 0, 118 - 116.669 to 1, and 100 - 122.675 to -22, which wraps to 234.
    picture = wrapped_picture(torch.tensor([[[100, 118, 104]]], dtype=torch.uint8))
    assert picture.tolist() == [[[0, 1, 234]]]


def test_the_switch_hands_that_picture_to_the_crf(clip: Path) -> None:
    for switches in ((), ("crf-wrapped-picture",)):
        model = model_with(clip, *switches, theta=0.0, keep_best=True)
        (seen,) = model.session(QUERIES).see(IMAGE).each
        expected = wrapped_picture(seen.image) if switches else seen.image
        assert torch.equal(seen.crf._image, expected)


def outcome(session: Session, found: Recurrence, masks: list, responses: list) -> tuple[list, list, list]:
    moved, moved_masks, moved_responses = session._as_released(
        found, torch.tensor(masks, dtype=torch.bool)[:, None], torch.tensor(responses)[:, None]
    )
    return list(moved.kept), moved_masks[:, 0].int().tolist(), moved_responses[:, 0].tolist()


def found_of(scores: list[float]) -> Recurrence:
    every = tuple(range(len(scores)))
    return Recurrence(every, torch.zeros(len(scores), 1, 2), tuple(scores), (True,) * len(scores), ())


def test_an_empty_mask_shifts_those_after_it(clip: Path) -> None:
    given = [[0, 1], [0, 0], [1, 1]], [[0.0, 0.9], [0.1, 0.2], [0.8, 0.7]]
    found = found_of([0.5, 0.4, 0.6])
    refer = model_with(clip, "empty-masks-shift").session(QUERIES)
    assert outcome(refer, found, *given)[:2] == ([0, 1], [[0, 1], [1, 1]])
    moved, _, _ = refer._as_released(
        found, torch.tensor(given[0]).bool()[:, None], torch.tensor(given[1])[:, None]
    )
    assert (moved.scores, moved.present) == ((0.5, 0.4, 0), (True, True, False))
    # Where no query has a mask, that code ends with an error; here all stay empty.
    assert outcome(refer, found, [[0, 0]] * 3, given[1])[:2] == ([0, 1, 2], [[0, 0]] * 3)
    for same in (model_with(clip), model_with(clip, "empty-masks-shift", mode="semantic")):
        assert outcome(same.session(QUERIES), found, *given)[1] == given[0]


def test_masks_are_painted_by_score(clip: Path) -> None:
    given = [[0, 1], [1, 1]], [[0.0, 0.9], [0.75, 0.75]]
    session = model_with(clip, "painted-by-score").session(QUERIES[:2])
    assert outcome(session, found_of([0.5, 0.25]), *given)[2] == [[0.5, 0.5], [0.25, 0.25]]


def test_duplicates_compete_and_the_last_takes_the_first_ones_place(clip: Path) -> None:
    queries = ["a dog", "the red car", "A dog"]
    apart = model_with(clip, mode="semantic", theta=0.0, keep_best=True)
    competing = model_with(clip, "duplicates-compete", mode="semantic", theta=0.0, keep_best=True)
    texts = [each.session(queries).texts[1].queries[0] for each in (apart, competing)]
    assert list(map(len, texts)) == [2, 3]
    session = competing.session(queries)
    kept, masks, _ = outcome(session, found_of([0.5, 0.4, 0.3]), [[0, 1], [1, 0], [1, 1]], [[0.0] * 2] * 3)
    assert (kept, masks) == ([0, 1], [[1, 1], [1, 0]])
    only_first = Recurrence((0, 1), torch.zeros(2, 1, 2), (0.5, 0.4, 0.1), (True, True, False), ())
    assert outcome(session, only_first, [[0, 1], [1, 0]], [[0.0] * 2] * 2)[:2] == ([0, 1], [[0, 1], [1, 0]])
