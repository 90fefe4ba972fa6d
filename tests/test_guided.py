"""The guided filter beside a twin that solves each window's least squares."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from carvid.refine.guided import Guide, shrunk

FLAT = 1e-3


def brute_force(picture: NDArray[np.float64], mask: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """picture (H, W, 3) and mask (H, W) in [0, 1]: in each window the affine function of colour that fits the mask best
    (with FLAT times its squared slope), and at each pixel the mean of the functions of the windows around it."""
    height, width = mask.shape
    functions = np.zeros((height, width, 4))

    def window(y: int, x: int) -> tuple[slice, slice]:
        return slice(max(0, y - radius), y + radius + 1), slice(max(0, x - radius), x + radius + 1)

    for y, x in np.ndindex(height, width):
        colours, values = picture[window(y, x)].reshape(-1, 3), mask[window(y, x)].ravel()
        deviation = colours - colours.mean(0)
        spread = deviation.T @ deviation / len(values) + FLAT * np.eye(3)
        slope = np.linalg.solve(spread, deviation.T @ values / len(values))
        functions[y, x] = *slope, values.mean() - slope @ colours.mean(0)
    found = np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        *slope, offset = functions[window(y, x)].reshape(-1, 4).mean(0)
        found[y, x] = slope @ picture[y, x] + offset
    return found.clip(0, 1)


@pytest.mark.parametrize(("size", "radius"), [((17, 23), 2), ((9, 30), 4), ((3, 2), 4), ((1, 1), 1)])
def test_at_the_size_of_the_picture_it_is_the_guided_filter(size: tuple[int, int], radius: int) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    masks = rng.random((2, *size))
    found = Guide(torch.from_numpy(picture), size, radius_px=radius, flat=FLAT).enlarge(
        torch.from_numpy(masks).float()
    )
    assert found.dtype == torch.float32
    for mask, one in zip(masks, found, strict=True):
        np.testing.assert_allclose(one, brute_force(picture / 255, mask, radius), atol=2e-3)


def test_a_small_mask_lands_on_the_edge_of_the_large_picture() -> None:
    picture = torch.full((24, 36, 3), 60, dtype=torch.uint8)
    picture[:, 19:] = 180
    # A third of the size: column 6 of the mask is cut by the edge, of which it covers two thirds.
    mask = torch.zeros(1, 8, 12)
    mask[..., 6:] = torch.tensor([2 / 3, 1, 1, 1, 1, 1])
    found = Guide(picture, (8, 12), radius_px=2, flat=FLAT).enlarge(mask)
    assert found.shape == (1, 24, 36)
    assert torch.equal(found[0] > 0.5, picture[..., 0] == 180)


def test_masks_that_sum_to_one_still_do() -> None:
    rng = np.random.default_rng(2)
    # Colours so much alike that no function leaves the range.
    picture = torch.from_numpy(rng.integers(60, 66, (20, 30, 3)).astype(np.uint8))
    shares = torch.from_numpy(rng.random((3, 7, 10)).astype(np.float32)) + 0.5
    found = Guide(picture, (7, 10), radius_px=1, flat=FLAT).enlarge(shares / shares.sum(0))
    assert found.min() > 0
    torch.testing.assert_close(found.sum(0), torch.ones(20, 30))


def test_there_may_be_no_mask() -> None:
    picture = torch.zeros(6, 9, 3, dtype=torch.uint8)
    assert shrunk(torch.zeros(0, 6, 9), (2, 3)).shape == (0, 2, 3)
    assert Guide(picture, (2, 3), radius_px=1, flat=FLAT).enlarge(torch.zeros(0, 2, 3)).shape == (0, 6, 9)
