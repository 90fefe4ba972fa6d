"""Proposals taken apart: pieces and nearest pixels by eye, the choice among pieces against a short twin."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from carvid.car.apart import nearest_kept, pieces
from carvid.car.classifier import ClassifierTexts, FrameClassifier, class_probabilities, classify
from carvid.car.prompts import draw_prompts
from carvid.car.recurrence import Asked
from carvid.errors import UsageError

PICTURE = """
11.....2
11....22
.......2
........
33..4...
"""


def drawn(text: str, letters: str) -> np.ndarray:
    """(H, W) bool: where one of the letters stands."""
    rows = text.split()
    return np.array([[letter in letters for letter in row] for row in rows])


def test_pieces_are_the_components_largest_first() -> None:
    found = pieces(drawn(PICTURE, "1234"))
    assert len(found) == 4
    assert np.array_equal(found[:2], [drawn(PICTURE, "1"), drawn(PICTURE, "2")])
    # Pixels that touch at a corner are one piece.
    corner = np.eye(4, dtype=bool)
    assert len(pieces(corner)) == 0


@pytest.mark.parametrize("letters", ["", "1"])
def test_one_thing_or_nothing_has_no_pieces(letters: str) -> None:
    assert pieces(drawn(PICTURE, letters)).shape == (0, 5, 8)


def test_a_speck_is_no_piece_and_only_the_largest_are_looked_at() -> None:
    mask = np.zeros((100, 100), np.bool_)
    mask[10:20, 10:20] = mask[50:52, 50:52] = True
    assert len(pieces(mask)) == 0
    mask[50:53, 50:53] = True
    assert len(pieces(mask)) == 2
    for i in range(12):
        mask[80 : 80 + 3 + i % 2, 8 * i : 8 * i + 3] = True
    found = pieces(mask)
    assert len(found) == 8
    assert [int(one.sum()) for one in found] == [100, *[12] * 6, 9]


def test_pixels_go_with_the_nearest_piece() -> None:
    found = np.stack([drawn("1......2", "1"), drawn("1......2", "2")])
    assert nearest_kept(found, [True, False]).astype(int).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert nearest_kept(found, [False, True]).astype(int).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert nearest_kept(found, [True, True]).all()


class Picture:
    """A picture whose colours say what g sees: red, green and blue are the directions of three texts."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.image = torch.from_numpy(rng.integers(0, 256, (24, 36, 3)).astype(np.uint8))
        # Squares of one colour each, apart from each other.
        self.masks = torch.zeros(2, 24, 36)
        for row, column in product(range(0, 24, 12), range(0, 36, 12)):
            colour = torch.zeros(3, dtype=torch.uint8)
            colour[int(rng.integers(3))] = 255
            self.image[row : row + 8, column : column + 8] = colour
            for mask in self.masks:
                if rng.random() < 0.6:
                    mask[row : row + 8, column : column + 8] = float(rng.uniform(0.6, 1))
        self.asked = Asked((0, 1), self.masks)


def encode(images: torch.Tensor) -> torch.Tensor:
    """The mean colour of what is not black."""
    flat = images.float().flatten(1, 2)
    seen = (flat.sum(2, keepdim=True) > 0).float()
    return F.normalize((flat * seen).sum(1) / seen.sum(1).clamp(min=1) + 1e-3, dim=1)


TEXTS = ClassifierTexts(torch.eye(3)[None, :2], torch.eye(3)[None, 2:], 3.0)


def twin(picture: Picture, templates: ClassifierTexts) -> tuple[list[float], list[np.ndarray]]:
    """Each query's score and proposal: every piece prompted by itself, every pixel given to its nearest piece."""
    scores, proposals = [], []
    for i, proposal in enumerate(picture.masks):
        mask = proposal.numpy() > 0.5

        def seen(shape: np.ndarray) -> torch.Tensor:
            image = draw_prompts(picture.image, torch.from_numpy(shape)[None], ["black"])
            everything = ClassifierTexts(
                torch.cat([templates.queries, templates.negatives], 1),
                templates.negatives[:, :0],
                templates.logit_scale,
            )
            return class_probabilities(encode(image), everything, [0, 1, 2])[0]

        parts = pieces(mask)
        told = [seen(part) for part in parts]
        sure = [float(one[i]) for one in told if int(one.argmax()) == i]
        if not sure:
            scores.append(float(seen(mask)[i]))
            proposals.append(proposal.numpy())
            continue
        scores.append(max(sure))
        kept = [j for j, one in enumerate(told) if one[i] >= one[1 - i]]
        left = proposal.numpy().copy()
        for y, x in np.argwhere(left > 0):
            far = [np.hypot(*(np.argwhere(part) - (y, x)).T).min() for part in parts]
            if min(far[j] for j in kept) > min(far):
                left[y, x] = 0
        proposals.append(left)
    return scores, proposals


@pytest.mark.parametrize("templates", [1, 2])
@given(seed=st.integers(0, 10_000))
def test_the_pieces_that_g_prefers_are_kept(templates: int, seed: int) -> None:
    picture = Picture(seed)
    texts = ClassifierTexts(
        TEXTS.queries.expand(templates, -1, -1), TEXTS.negatives.expand(templates, -1, -1), 3.0
    )
    one = FrameClassifier(picture.image, texts, 0.5, ["black"], split=True)
    (found,) = classify([one], [picture.asked], encode)
    scores, proposals = twin(picture, texts)
    assert found.scores.tolist() == pytest.approx(scores, abs=1e-5)
    assert np.array_equal(found.proposals.numpy(), np.stack(proposals))
    # What was proposed is not changed where it lies.
    assert torch.equal(picture.asked.proposals, picture.masks)


def test_pieces_are_encoded_again_only_where_the_mask_has_changed() -> None:
    picture = Picture(1)
    counts: list[int] = []

    def counted(images: torch.Tensor) -> torch.Tensor:
        counts.append(len(images))
        return encode(images)

    one = FrameClassifier(picture.image, TEXTS, 0.5, ["black"], split=True)
    (first,) = classify([one], [picture.asked], counted)
    (again,) = classify([one], [Asked((0, 1), picture.masks, 2)], counted)
    expected = sum(1 + len(pieces(mask.numpy() > 0.5)) for mask in picture.masks)
    assert counts == [expected]
    assert torch.equal(first.proposals, again.proposals)
    # With a rival less, pieces may be this query's again.
    (alone,) = classify([one], [Asked((1,), picture.masks[1:], 3)], counted)
    assert counts == [expected]
    assert (alone.proposals > 0).sum() >= (first.proposals[1] > 0).sum()


def test_without_split_nothing_is_taken_apart() -> None:
    picture = Picture(2)
    (found,) = classify([FrameClassifier(picture.image, TEXTS, 0.5, ["black"])], [picture.asked], encode)
    assert found.proposals is picture.asked.proposals


def test_the_straightforward_method_is_not_compared_with_it() -> None:
    from carvid.bench.bench import BenchOptions, run_bench
    from carvid.recipe import load_recipe

    with pytest.raises(UsageError, match="split_things is on; expected it off"):
        run_bench(BenchOptions(recipe=load_recipe("shapes", crf=False), against=("naive",)))
