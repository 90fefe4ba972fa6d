"""Resizing against Pillow itself: equal in every value."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from carvid.clip import resize as module
from carvid.clip.resize import FILTERS, by_matrices, by_pillow

WAYS = {"pillow": by_pillow, "matrices": by_matrices}


def picture(height, width, seed, saturated):
    """(H, W, 3) uint8: noise, or nothing but 0 and 255, so that bicubic overshoots everywhere."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return np.where(image < 128, 0, 255).astype(np.uint8) if saturated else image


def with_pil(image, size, resample):
    resized = Image.fromarray(image).resize(size[::-1], FILTERS[resample])
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()


sides = st.integers(1, 140)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("resample", FILTERS)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.booleans(), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_equals_pillow_at_any_size(way, resample, source, size, saturated, seed):
    image = picture(*source, seed, saturated)
    found = WAYS[way](torch.from_numpy(image)[None], size, resample, (0, 0), size)
    assert found.dtype == torch.float32
    assert torch.equal(found[0], with_pil(image, size, resample))


# Sizes of frames and of CLIP's input; up, down, stretched a little and a lot, one pass only, a long way down.
FRAMES = [
    ((480, 854), (224, 398)),
    ((480, 854), (480, 864)),
    ((1080, 1920), (224, 398)),
    ((853, 481), (597, 336)),
    ((100, 75), (448, 336)),
    ((481, 641), (31, 300)),
    ((400, 97), (188, 106)),
    ((3000, 17), (24, 16)),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("resample", FILTERS)
@pytest.mark.parametrize("saturated", [False, True])
@pytest.mark.parametrize(("source", "size"), FRAMES)
def test_equals_pillow_at_the_sizes_of_frames(source, size, saturated, resample, way):
    image = picture(*source, 7, saturated)
    found = WAYS[way](torch.from_numpy(image)[None], size, resample, (0, 0), size)
    assert torch.equal(found[0], with_pil(image, size, resample))


@pytest.mark.parametrize("way", WAYS)
def test_a_crop_is_part_of_the_whole(way):
    images = torch.from_numpy(np.stack([picture(61, 90, seed, seed == 1) for seed in range(3)]))
    whole = WAYS[way](images, (40, 59), "bicubic", (0, 0), (40, 59))
    part = WAYS[way](images, (40, 59), "bicubic", (3, 11), (32, 33))
    assert torch.equal(part, whole[:, :, 3:35, 11:44])


def test_the_order_of_the_passes_follows_the_installed_pillow(monkeypatch):
    """The passes differ by their order in some value, and a Pillow that works along rows first is followed."""
    image = torch.from_numpy(picture(60, 50, 3, False))[None]
    size = (40, 31)
    rows = module._coefficients(60, 40, 0, 40, "bicubic", torch.device("cpu"))
    columns = module._coefficients(50, 31, 0, 31, "bicubic", torch.device("cpu"))
    planes = image.permute(0, 3, 1, 2).float()
    orders = {
        True: module._along_columns(module._along_rows(planes, *rows), *columns),
        False: module._along_rows(module._along_columns(planes, *columns), *rows),
    }
    assert not torch.equal(orders[True], orders[False])
    for first, expected in orders.items():
        monkeypatch.setattr(module, "_rows_come_first", lambda *_, first=first: first)
        assert torch.equal(by_matrices(image, size, "bicubic", (0, 0), size), expected)
