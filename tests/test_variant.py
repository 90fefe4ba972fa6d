"""The switches of `--variant released`, each on numbers and pictures small enough to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from carvid.car.affinity import box_mask
from carvid.car.classifier import ClassifierTexts, FrameClassifier, character_texts, class_probabilities
from carvid.car.prompts import draw_prompts
from carvid.car.recurrence import Asked, Recurrence, recur_together
from carvid.errors import UsageError
from carvid.evaluate.ablation import Ablation, rows_of
from carvid.evaluate.context import CONTEXT
from carvid.evaluate.contract import Sample
from carvid.evaluate.sharing import Sessions
from carvid.loading import load_model
from carvid.model import Model
from carvid.recipe import Recipe, load_recipe, recipe_from_json
from carvid.recipe.presets import at_speed, preset_names
from carvid.recipe.record import differences
from carvid.recipe.settings import BACKGROUND_TEXTS, Settings
from carvid.recipe.variant import SWITCHES, VARIANTS, resolved
from carvid.refine.crf import wrapped_picture
from carvid.session import Session
from carvid.shapes.scenes import moving_clip
from tests.tiny_clip import make_tiny_clip

PACKAGE = Path(__file__).resolve().parents[1] / "carvid"
QUERIES = ["the red car", "a blue star", "a white fish"]
IMAGE = next(iter(moving_clip(31, 1, 90, 120))).image


# Names of switches.


def test_each_switch_is_read_by_one_file_the_one_of_its_stage() -> None:
    sources = {path: path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "variant.py"}
    for name in SWITCHES:
        assert sum(len(re.findall(rf'"{name}" (?:not )?in ', text)) for text in sources.values()) == 1, name


def test_every_switch_is_documented() -> None:
    told = (PACKAGE.parent / "docs" / "variants.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", told, re.MULTILINE)) == set(SWITCHES)


def test_a_variant_turns_all_switches_and_a_switch_one() -> None:
    assert load_recipe().switches == load_recipe(variant="paper").switches == ()
    assert load_recipe(variant="released").switches == tuple(SWITCHES)
    assert load_recipe(switches=["gray-swapped", "boxes-border"]).switches == ("boxes-border", "gray-swapped")
    every_other = load_recipe(variant="released", switches=["no-gray-swapped"]).switches
    assert every_other == tuple(name for name in SWITCHES if name != "gray-swapped")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "draft"}, "variant is 'draft'; expected one of paper, released"),
        ({"switches": ["gray"]}, "unknown switch 'gray'; expected some of origami-later,"),
        ({"switches": "gray-swapped"}, "switches is 'gray-swapped'; expected a list of texts"),
        ({"switches": [3]}, r"switches is \[3\]; expected a list of texts"),
    ],
)
def test_an_unknown_variant_or_switch_is_refused(given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(**given)


def test_switches_decide_the_masks_and_the_variant_only_says_where_they_come_from() -> None:
    paper, released = load_recipe(), load_recipe(variant="released")
    by_name = load_recipe(switches=list(SWITCHES))
    assert differences(released.describe(), by_name.describe()) == []
    assert [line.split(":")[0] for line in differences(paper.describe(), released.describe())] == [
        "settings.switches"
    ]


def test_a_recipe_keeps_its_switches_on_its_way() -> None:
    recipe = load_recipe("refcoco", variant="released", switches=["no-boxes-border"])
    assert recipe_from_json(recipe.to_json()) == recipe
    assert at_speed(recipe, "live").switches == recipe.switches
    with pytest.raises(UsageError, match="each once, in the order of the method"):
        Settings(switches=("gray-swapped", "boxes-border"))


def test_a_presets_values_for_the_released_code_hold_for_that_variant_alone(tmp_path: Path) -> None:
    assert load_recipe("refcoco").prompts == ("circle", "blur")
    assert load_recipe("refcoco", variant="released").prompts == ("circle",)
    assert load_recipe("refcocog", variant="released").prompts == ("circle", "blur")
    assert load_recipe("refcoco", variant="released", prompts=["black"]).prompts == ("black",)
    assert (load_recipe("context").theta, load_recipe("context", variant="released").theta) == (0.2, 0.25)
    own = tmp_path / "own.yaml"
    own.write_text("base: refcoco\nprompts: [gray]\nvariant: released\n")
    assert load_recipe(str(own)).prompts == ("gray",)
    assert load_recipe(str(own)).switches == tuple(SWITCHES)
    own.write_text("released: [gray]\n")
    with pytest.raises(UsageError, match="released holds a list; expected a mapping of option names"):
        load_recipe(str(own))
    for name in preset_names():
        load_recipe(name, variant="released")


def test_an_ablation_turns_each_switch_of_the_recipe() -> None:
    paper = {row.name: row.changes["switches"] for row in rows_of(Recipe(), ["variant"])[1:]}
    assert set(paper) == {*SWITCHES, *VARIANTS} - {"two-passes"}
    assert paper["gray-swapped"] == ("gray-swapped",)
    assert (paper["paper"], paper["released"]) == ((), tuple(SWITCHES))
    released = {row.name: row.changes for row in rows_of(load_recipe(variant="released"), ["variant"])}
    assert released["no-gray-swapped"]["switches"] == resolved("released", ["no-gray-swapped"])
    assert "variant" not in {row.group for row in rows_of(Recipe())}


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


# v


def drawn(
    mask: list[list[int]], *prompts: str, switches: Sequence[str], image: Tensor | None = None
) -> Tensor:
    masks = torch.tensor(mask, dtype=torch.bool)[None]
    if image is None:
        image = torch.zeros(*masks.shape[1:], 3, dtype=torch.uint8)
    return draw_prompts(image, masks, prompts, switches)[0]


def red(picture: Tensor) -> list[list[int]]:
    return (picture == torch.tensor([255, 0, 0], dtype=torch.uint8)).all(-1).int().tolist()


def test_gray_weighs_red_as_blue() -> None:
    image = torch.tensor([[[100, 0, 0], [0, 0, 100]]], dtype=torch.uint8)
    plain = drawn([[0, 0]], "gray", switches=(), image=image)
    swapped = drawn([[0, 0]], "gray", switches=["gray-swapped"], image=image)
    assert plain[0, :, 0].tolist() == [30, 11]
    assert swapped[0, :, 0].tolist() == [11, 30]


def test_prompts_are_drawn_in_one_order() -> None:
    image = torch.from_numpy(IMAGE)
    mask = np.zeros(IMAGE.shape[:2], int).tolist()
    ordered = drawn(mask, "blur", "gray", switches=(), image=image)
    other = drawn(mask, "gray", "blur", switches=(), image=image)
    assert not torch.equal(other, ordered)
    assert torch.equal(drawn(mask, "gray", "blur", switches=["drawing-order"], image=image), ordered)


def test_a_circles_centre_is_cut_down() -> None:
    mask = np.zeros((9, 9), int)
    # 5 wide and 3 high; the mean of y is 4, that of x (3 * (3 + 4 + 5 + 6) + 7) / 13 = 4.7.
    mask[3:6, 3:7] = 1
    mask[4, 7] = 1
    for switches, x in (((), 5), (["circle-cut-centre"], 4)):
        expected = np.zeros((9, 9), np.uint8)
        cv2.ellipse(expected, (x, 4), (5 // 2, 3 // 2), 0, 0, 360, 1, 1)
        assert red(drawn(mask.tolist(), "circle", switches=switches)) == expected.tolist()


def test_a_circle_of_one_pixel_is_that_pixel() -> None:
    mask = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert red(drawn(mask, "circle", switches=["circle-cut-centre"])) == mask
    assert red(drawn(mask, "circle", switches=())) != mask


def test_a_rectangle_lies_around_the_centroid() -> None:
    # The box is 5 wide and 1 high; the mean of x is (0 + 3 + 4) / 3, cut down to 2.
    mask = [[0, 0, 0, 0, 0], [1, 0, 0, 1, 1], [0, 0, 0, 0, 0]]
    around = red(drawn(mask, "rectangle", switches=["rectangle-on-centroid"]))
    assert around == [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    # Here the centroid is left of the box's middle, and what would lie outside the image is not drawn.
    mask = [[1, 1, 0, 0, 1], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    around = red(drawn(mask, "rectangle", switches=["rectangle-on-centroid"]))
    # x: 0 * 3 + 1 * 3 + 4 over 7 is 1, +- 2; y: 6 / 7 is 0, +- 1.
    assert around == [[0, 0, 0, 1, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert not any(map(any, red(drawn([[0, 0]], "rectangle", switches=["rectangle-on-centroid"]))))


def test_a_contour_goes_around_the_filled_mask() -> None:
    ring = [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1]]
    filled = [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]]
    assert red(drawn(ring, "contour", switches=["contour-filled"])) == filled
    assert red(drawn(ring, "contour", switches=()))[1] == [1, 0, 1, 0, 1]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12))
def test_a_filled_contour_is_what_opencv_draws(seed: int, height: int, width: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.6
    expected = np.zeros((height, width), np.uint8)
    around = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(around, None, (0, 0), 2)
    filled = (around[1:-1, 1:-1] != 2).astype(np.uint8)
    contours, _ = cv2.findContours(filled, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(expected, contours, -1, 1, 1)
    assert red(drawn(mask.tolist(), "contour", switches=["contour-filled"])) == expected.tolist()


def test_a_proposal_that_sums_to_one_leaves_the_picture_unprompted() -> None:
    image = torch.full((2, 3, 3), 90, dtype=torch.uint8)
    proposals = torch.tensor([[[0.9, 0, 0], [0, 0, 0.1]], [[0.9, 0, 0], [0, 0, 0.2]]])
    nothing = ClassifierTexts(torch.zeros(1, 2, 4), torch.zeros(1, 0, 4), 1.0)
    for switches, blank in (((), [False, False]), (["blank-unprompted"], [True, False])):
        one = FrameClassifier(image, nothing, 0.5, ["black"], switches)
        _, prompted = one.draw(Asked((0, 1), proposals))
        assert [torch.equal(each, image) for each in prompted] == blank


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
    def classify(asked: dict[int, Asked]) -> list[Tensor]:
        return [torch.tensor(table[step.live], dtype=torch.float64) for step in asked.values()]

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
    assert outcome(refer, found, *given)[:2] == ([0, 1, 2], [[0, 1], [1, 1], [0, 0]])
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


# Benchmarks


def test_context_asks_for_stuff_and_for_things() -> None:
    (one,) = CONTEXT.asked("paper", two_passes=False)
    assert len(one.queries) == 59
    stuff, things = CONTEXT.asked("released", two_passes=True)
    assert (stuff.name, len(stuff.queries), things.name, len(things.queries)) == ("stuff", 21, "things", 38)
    assert sorted(stuff.labels + things.labels) == list(range(1, 60))
    assert {"building", "track", "tree"} <= set(things.queries)
    assert stuff.settings["background"] == things.queries
    assert stuff.settings["prompts"] == ("blur", "gray")
    assert things.settings["prompts"] == ("blur", "circle")
    # The paper's names of the same classes.
    assert "aeroplane" in CONTEXT.asked("paper", two_passes=True)[1].queries


def test_stuff_is_painted_first() -> None:
    class Found:
        def __init__(self, query: str, label_map: list) -> None:
            self.objects = [type("Object", (), {"id": 1, "query": query})]
            self.label_map = np.array(label_map)

    asked = CONTEXT.asked("released", two_passes=True)
    sample = Sample("a", ("a.jpg",), (1, 3), asked)
    found = {"stuff": Found("sky", [[1, 1, 0]]), "things": Found("bird", [[0, 1, 1]])}
    sky, bird = (asked[i].labels[asked[i].queries.index(name)] for i, name in ((0, "sky"), (1, "bird")))
    ((path, labels),) = CONTEXT.paint(sample, "a", found)
    assert (path, labels.tolist()) == ("masks/a.png", [[sky, bird, bird]])


def test_an_ablations_table_says_what_each_switch_does() -> None:
    rows = [
        row
        for row in rows_of(Recipe(), ["variant"])
        if row.name in ("the recipe", "gray-swapped", "released")
    ]
    text = Ablation("voc", "val", 2, [(row, {"mIoU": 0.5}) for row in rows]).to_markdown()
    assert "| variant | gray-swapped | 0.5000 | +0.0000 |" in text
    assert "- `gray-swapped` (v): Gray weighs red as blue, and blue as red." in text
    assert "boxes-border" not in text
