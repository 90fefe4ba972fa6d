"""VideoSegmenter: what comes out of a frame, on small random CLIPs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carvid import UsageError, VideoSegmenter
from carvid.frame import Frame
from tests.media import moving_square
from tests.tiny_clip import make_tiny_clip

QUERIES = ["the red car", "a blue star", "a white fish"]
IMAGE = moving_square(1)[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_clip(tmp_path_factory.mktemp("clip"), seed=5, logit_scale=6.0)


def made(model: Path, queries: list[str] = QUERIES, **options: object) -> VideoSegmenter:
    return VideoSegmenter.from_pretrained(model, queries=queries, device="cpu", **options)


@pytest.mark.parametrize("mode", ["refer", "semantic"])
@pytest.mark.parametrize("crf", [True, False])
def test_shapes_types_and_ranges_of_a_result(model: Path, mode: str, crf: bool) -> None:
    result = made(model, mode=mode, crf=crf, theta=0.0).step(IMAGE)
    assert (result.label_map.shape, result.label_map.dtype) == ((48, 64), np.uint8)
    assert (result.masks.shape, result.masks.dtype) == ((3, 48, 64), np.bool_)
    assert (result.evidence.proposals.shape, result.evidence.proposals.dtype) == ((3, 48, 64), np.float32)
    assert 0 <= result.evidence.proposals.min() <= result.evidence.proposals.max() <= 1
    assert (result.scores.shape, result.scores.dtype) == ((3,), np.float32)
    assert result.present.dtype == np.bool_
    assert result.present.all()
    assert set(np.unique(result.label_map)) <= {0, 1, 2, 3}
    for i in range(3):
        # Where query i is the label it responds, so its own mask holds the pixel too.
        assert result.masks[i][result.label_map == i + 1].all()
    assert np.array_equal(result.label_map > 0, result.masks.any(0))


def test_without_the_crf_a_mask_is_the_proposal_cut_at_eta(model: Path) -> None:
    result = made(model, crf=False, theta=0.0, eta=0.4).step(IMAGE)
    assert np.array_equal(result.masks, result.evidence.proposals > 0.4)
    best = np.where(result.evidence.proposals.max(0) > 0.4, result.evidence.proposals.argmax(0) + 1, 0)
    assert np.array_equal(result.label_map, best)


def test_an_absent_query_has_an_empty_mask_and_its_score(model: Path) -> None:
    segmenter = made(model, theta=0.0)
    scores = segmenter.step(IMAGE).scores
    between = float(np.sort(scores)[1:].mean())
    result = made(model, theta=between).step(IMAGE)
    assert 0 < result.present.sum() < 3
    for i in range(3):
        assert result.scores[i] > 0
        assert result.masks[i].any() == result.present[i]
        assert (result.label_map == i + 1).any() <= result.present[i]


def test_a_lone_query_always_scores_one_without_negatives_and_can_lose_with_them(model: Path) -> None:
    paper = made(model, QUERIES[:1], preset="refcoco").step(IMAGE)
    ours = made(model, QUERIES[:1]).step(IMAGE)
    assert paper.scores.tolist() == [1]
    assert ours.scores[0] < 0.5


def test_duplicates_are_embedded_once_and_both_reported(model: Path) -> None:
    alone = made(model, QUERIES[:2], theta=0.0).step(IMAGE)
    result = made(model, [QUERIES[0], QUERIES[1], QUERIES[0]], theta=0.0).step(IMAGE)
    assert result.scores.tolist() == [alone.scores[0], alone.scores[1], alone.scores[0]]
    assert np.array_equal(result.masks[0], result.masks[2])
    assert np.array_equal(result.label_map, alone.label_map)
    assert result.evidence.steps[0].live == (0, 1, 2)


def test_run_takes_frames_and_bare_images_one_at_a_time(model: Path) -> None:
    segmenter = made(model, crf=False)
    taken: list[int] = []

    def images():
        for i, image in enumerate(moving_square(5)):
            taken.append(i)
            yield image

    results = segmenter.run(images(), keyframes=1)
    assert next(results).index == 0
    assert taken == [0]
    assert next(results).name == "00001"
    frame = Frame(index=7, pts_seconds=0.25, image=IMAGE, name="seven")
    (result,) = segmenter.run([frame])
    assert (result.index, result.pts_seconds, result.name) == (7, 0.25, "seven")


def test_run_on_key_frames_gives_every_frame_in_order_and_is_the_model_at_the_keys(model: Path) -> None:
    segmenter = made(model)
    pictures = moving_square(8)
    every_frame = list(segmenter.run(pictures, keyframes=1))
    results = list(segmenter.run(pictures, keyframes=4))
    assert [one.index for one in results] == list(range(8))
    assert [one.index for one in results if one.origin.key] == [0, 4, 7]
    for key in (0, 4, 7):
        assert np.array_equal(results[key].label_map, every_frame[key].label_map)
    assert results[2].evidence is None
    assert [one.origin is None for one in every_frame] == [True] * 8
    with pytest.raises(UsageError, match="keyframes is 'often'; expected auto or a whole number"):
        next(segmenter.run(pictures, keyframes="often"))


def test_a_frame_gives_the_same_result_whatever_came_before(model: Path) -> None:
    first, second = moving_square(2)
    segmenter = made(model)
    segmenter.step(first)
    again, fresh = segmenter.step(second), made(model).step(second)
    assert np.array_equal(again.label_map, fresh.label_map)
    assert np.array_equal(again.scores, fresh.scores)


def test_time_is_counted_by_stage(model: Path) -> None:
    segmenter = made(model)
    segmenter.step(IMAGE)
    stages = {"resize", "trunk", "cam", "affinity", "prompts", "classifier", "crf", "result"}
    assert set(segmenter.seconds) == stages
    assert all(spent > 0 for spent in segmenter.seconds.values())


def test_describe_names_models_hashes_and_settings(model: Path) -> None:
    told = made(model, ["tree", "a cat"], eta=0.4).describe()
    assert told["models"]["proposer"]["sha256"] == told["models"]["classifier"]["sha256"]
    assert told["settings"]["eta"] == 0.4
    assert "tree" not in told["settings"]["background"]
    assert "road" in told["settings"]["negatives"]


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ([], "no query"),
        (["a car", "  "], "query 2 of 2 is empty"),
        ("a car", "expected a list"),
        (["word " * 200], "it would be cut here"),
        ([f"car {i}" for i in range(256)], "256 queries; expected at most 255"),
    ],
)
def test_queries_that_cannot_be_used_are_refused(model: Path, queries: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(model, queries)


def test_truncate_allows_a_query_that_is_too_long(model: Path) -> None:
    assert made(model, ["car " * 200], truncate=True).step(IMAGE).scores.shape == (1,)


def test_another_query_set_is_truncated_as_the_first_was(model: Path) -> None:
    segmenter = made(model, QUERIES, truncate=True)
    assert segmenter.with_queries(["car " * 200]).step(IMAGE).scores.shape == (1,)
    with pytest.raises(UsageError, match="it would be cut here"):
        made(model).with_queries(["car " * 200])


@pytest.mark.parametrize("query", ["{red} car", 'the "red" car', "a/b", "two\nlines", "{} {0} %s"])
def test_any_character_in_a_query_is_plain_text(model: Path, query: str) -> None:
    # Two wordings, so that templates are filled too.
    segmenter = made(model, [query], templates=["{}", "a photo of a {}."])
    assert segmenter.queries == (query,)
    assert segmenter.step(IMAGE).scores.shape == (1,)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\) uint8; expected \(H, W, 3\) uint8"),
        (np.zeros((4, 4, 3), np.float32), "float32; expected"),
        (np.zeros((0, 4, 3), np.uint8), "expected"),
    ],
)
def test_an_image_of_another_kind_is_refused(model: Path, image: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(model).step(image)


@pytest.mark.parametrize("size", [(8, 8), (17, 23), (1, 1)])
def test_frames_of_any_size_can_be_segmented(model: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    assert made(model, theta=0.0).step(image).label_map.shape == size
