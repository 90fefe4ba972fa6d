"""v: visual prompts, against OpenCV's own drawing and on images small enough to read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from carvid.car.prompts import OUTLINE_PROMPTS, REGION_PROMPTS, draw_prompts
from carvid.recipe.settings import PROMPTS

BLUE = (0, 0, 255)
RED = (255, 0, 0)
BLACK = (0, 0, 0)


def picture(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def drawn(image: np.ndarray, mask: np.ndarray, *prompts: str) -> np.ndarray:
    return draw_prompts(torch.from_numpy(image), torch.from_numpy(mask)[None], prompts)[0].numpy()


def test_every_prompt_of_the_settings_can_be_drawn() -> None:
    assert set(PROMPTS) == set(OUTLINE_PROMPTS) | set(REGION_PROMPTS)


@given(seed=st.integers(0, 99), height=st.integers(1, 40), width=st.integers(1, 40))
def test_blur_equals_opencv(seed: int, height: int, width: int) -> None:
    image = picture(seed, height, width)
    blurred = drawn(image, np.zeros((height, width), bool), "blur")
    expected = cv2.GaussianBlur(image, (15, 15), 0, borderType=cv2.BORDER_REFLECT_101)
    assert np.array_equal(blurred, expected)


def test_gray_equals_opencv() -> None:
    image = picture(0, 30, 50)
    expected = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert np.array_equal(drawn(image, np.zeros((30, 50), bool), "gray"), expected)


def test_a_region_prompt_leaves_the_inside_and_changes_the_outside() -> None:
    image = np.full((2, 3, 3), BLUE, np.uint8)
    mask = np.array([[0, 1, 1], [0, 0, 1]], bool)
    assert np.array_equal(drawn(image, mask, "black"), np.where(mask[:, :, None], BLUE, BLACK))


def test_a_rectangle_is_the_border_of_the_bounding_box() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1, 2], mask[3, 4] = True, True
    red = np.array(
        [[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 1, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]],
        bool,
    )
    image = drawn(np.full((5, 6, 3), BLUE, np.uint8), mask, "rectangle")
    assert np.array_equal((image == RED).all(2), red)


def test_a_contour_is_the_rim_of_the_mask_holes_included() -> None:
    mask = np.array([[1, 1, 1, 1, 1]] * 5, bool)
    mask[2, 2] = False
    red = np.array(
        [[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [1, 1, 0, 1, 1], [1, 0, 1, 0, 1], [1, 1, 1, 1, 1]], bool
    )
    image = drawn(np.full((5, 5, 3), BLUE, np.uint8), mask, "contour")
    assert np.array_equal((image == RED).all(2), red)


def test_a_circle_is_an_ellipse_as_large_as_the_box_around_the_centroid() -> None:
    mask = np.zeros((41, 61), bool)
    mask[10:31, 10:51] = True
    line = (drawn(np.full((41, 61, 3), BLUE, np.uint8), mask, "circle") == RED).all(2)
    ys, xs = np.nonzero(line)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (10, 50, 10, 30)
    assert not line[20, 11:50].any()


def test_prompts_are_drawn_together_outlines_on_top() -> None:
    mask = np.zeros((21, 21), bool)
    mask[5:16, 5:16] = True
    image = drawn(np.full((21, 21, 3), BLUE, np.uint8), mask, "circle", "black")
    assert tuple(image[0, 0]) == BLACK
    assert tuple(image[10, 10]) == BLUE
    assert tuple(image[10, 5]) == RED


def test_each_query_gets_an_image_of_its_own_and_an_empty_mask_no_outline() -> None:
    image = np.full((9, 9, 3), BLUE, np.uint8)
    masks = np.zeros((2, 9, 9), bool)
    masks[1, 2:7, 2:7] = True
    both = draw_prompts(torch.from_numpy(image), torch.from_numpy(masks), ("rectangle",)).numpy()
    assert both.shape == (2, 9, 9, 3)
    assert np.array_equal(both[0], image)
    assert (both[1] == RED).all(2).sum() == 16
    assert np.array_equal(image, np.full((9, 9, 3), BLUE, np.uint8))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1)])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_images_of_one_row_or_column_can_be_prompted(size: tuple[int, int], prompt: str) -> None:
    assert drawn(picture(0, *size), np.ones(size, bool), prompt).shape == (*size, 3)
