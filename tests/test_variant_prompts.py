"""The switches of v: what the released code draws otherwise, on pictures small enough to read."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from carvid.car.classifier import ClassifierTexts, FrameClassifier
from carvid.car.prompts import draw_prompts
from carvid.car.recurrence import Asked
from carvid.shapes.scenes import moving_clip

IMAGE = next(iter(moving_clip(31, 1, 90, 120))).image


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


def test_an_empty_mask_is_prompted_anew_once_its_proposal_sums_to_more() -> None:
    image = torch.full((2, 3, 3), 90, dtype=torch.uint8)
    nothing = ClassifierTexts(torch.zeros(1, 1, 4), torch.zeros(1, 0, 4), 1.0)
    faint, fainter = torch.full((1, 2, 3), 0.4), torch.full((1, 2, 3), 0.1)
    one = FrameClassifier(image, nothing, 0.5, ["black"], ["blank-unprompted"])
    ((first, prompted), (second, again), (third, _)) = (
        one.draw(Asked((0,), proposals)) for proposals in (fainter, faint, faint)
    )
    assert (first, second, third) == ([0], [0], [])
    assert torch.equal(prompted[0], image)
    assert again[0].max() == 0
